#define _GNU_SOURCE
#include "linux.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
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

ssize_t leasehold_send_descriptor(int socket, const void *bytes, size_t size, int descriptor)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec vector = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
	                          .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL);
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
