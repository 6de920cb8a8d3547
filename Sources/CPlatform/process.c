#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"

// With MCL_FUTURE but without this right, a later mapping could fail at the limit: then rather not at all.
static bool may_lock_without_limit(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
		return true;
	return syscall(SYS_capget, &header, data) == 0 && data[0].effective & (1u << CAP_IPC_LOCK);
}

bool leasehold_stay_in_memory(void)
{
	// On fault: whole thread stacks would be filled otherwise.
	return may_lock_without_limit() && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

void leasehold_run_before_others(void)
{
	const struct sched_param lowest = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_RR, &lowest);
}

static bool set_score(const char *score)
{
	int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	bool is_set = file >= 0 && write(file, score, strlen(score)) > 0;

	if (file >= 0)
		close(file);
	return is_set;
}

static bool has_score_above_zero(void)
{
	char text[16] = { 0 };
	int file = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	bool is_above = file >= 0 && read(file, text, sizeof text - 1) > 0 && text[0] > '0' && text[0] <= '9';

	if (file >= 0)
		close(file);
	return is_above;
}

void leasehold_outlast_others(void)
{
	// Without the right to go below zero, what the caller put on top can be taken off.
	if (!set_score("-1000") && has_score_above_zero())
		set_score("0");
}

void leasehold_leave_no_core(void)
{
	const struct rlimit none = { 0, 0 };

	// A core pattern that is a pipe doesn't heed the limit.
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

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

int leasehold_keep_capabilities(uint64_t mask)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	for (int half = 0; half < 2; half++) {
		uint32_t kept = (uint32_t)(mask >> (32 * half));

		data[half].effective &= kept;
		data[half].permitted &= kept;
		data[half].inheritable &= kept;
	}
	return (int)syscall(SYS_capset, &header, data);
}
