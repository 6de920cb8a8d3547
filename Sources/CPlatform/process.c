#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"

int leasehold_become_subreaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int leasehold_signal_process(pid_t pid, uint64_t start_time, int signal)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int result, saved;

	if (pidfd < 0)
		return -1;
	if (leasehold_start_time(pid) != start_time) {
		close(pidfd);
		errno = ESRCH;
		return -1;
	}
	result = (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
	saved = errno;
	close(pidfd);
	errno = saved;
	return result;
}
