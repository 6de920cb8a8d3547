// System headers and calls that Swift's view of the C library leaves out.
#ifndef LEASEHOLD_LINUX_H
#define LEASEHOLD_LINUX_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/types.h>

// The user and the process at the other end of a Unix socket (SO_PEERCRED). False where the kernel doesn't say.
bool leasehold_peer(int fd, uid_t *user, pid_t *process);

// The next client of a listening socket, close-on-exec and non-blocking. -1 with errno.
int leasehold_accept(int listener);

// O_DIRECT, which the C library shows to GNU sources only.
extern const int leasehold_o_direct;

// F_OFD_SETLK and F_OFD_GETLK, likewise.
extern const int leasehold_set_lock;
extern const int leasehold_get_lock;

#endif
