// System headers and calls that Swift's view of the C library leaves out.
#ifndef LEASEHOLD_LINUX_H
#define LEASEHOLD_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/types.h>

// Who is at the other end of a Unix socket (SO_PEERCRED). False where the kernel doesn't say.
bool leasehold_peer(int fd, uid_t *user, gid_t *group, pid_t *process);

// Sends bytes with a copy of a descriptor (SCM_RIGHTS, man 7 unix), without blocking where the socket doesn't. Returns how
// many went, or -1 with errno.
ssize_t leasehold_send_descriptor(int socket, const void *bytes, size_t size, int descriptor);

// The rights that the calling thread has to files (man 2 setfsuid). Whether it worked is told by the next open.
void leasehold_set_file_user(uid_t user);
void leasehold_set_file_group(gid_t group);

// The next client of a listening socket, close-on-exec and non-blocking. -1 with errno.
int leasehold_accept(int listener);

// Renames a file unless the new name is taken (EEXIST). EINVAL where the file system can't.
int leasehold_rename_to_free(const char *from, const char *to);

// O_DIRECT, which the C library shows to GNU sources only.
extern const int leasehold_o_direct;

// F_OFD_SETLK and F_OFD_GETLK, likewise.
extern const int leasehold_set_lock;
extern const int leasehold_get_lock;

#endif
