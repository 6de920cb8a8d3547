#define _GNU_SOURCE
#include "linux.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

bool leasehold_peer(int fd, uid_t *user, gid_t *group, pid_t *process)
{
	struct ucred credentials;
	socklen_t size = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	*user = credentials.uid;
	*group = credentials.gid;
	*process = credentials.pid;
	return true;
}

void leasehold_set_file_user(uid_t user)
{
	setfsuid(user);
}

void leasehold_set_file_group(gid_t group)
{
	setfsgid(group);
}

int leasehold_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int leasehold_rename_to_free(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

const int leasehold_o_direct = O_DIRECT;
const int leasehold_set_lock = F_OFD_SETLK;
const int leasehold_get_lock = F_OFD_GETLK;
