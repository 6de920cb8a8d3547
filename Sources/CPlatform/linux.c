#define _GNU_SOURCE
#include "linux.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>

bool leasehold_peer(int fd, uid_t *user, pid_t *process)
{
	struct ucred credentials;
	socklen_t size = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	*user = credentials.uid;
	*process = credentials.pid;
	return true;
}

int leasehold_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

const int leasehold_o_direct = O_DIRECT;
const int leasehold_set_lock = F_OFD_SETLK;
const int leasehold_get_lock = F_OFD_GETLK;
