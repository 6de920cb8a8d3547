#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "keeping.h"
#include "procfs.h"

// All the caller's go, standard error too, so that a reader sees its end when the guest closes.
static void close_others(const struct keeper *keeper)
{
	int kept[] = { keeper->reports, keeper->supervisor, keeper->lease_socket, keeper->device_locks,
		       keeper->child_signals };
	unsigned int next = 0;

	for (;;) {
		int lowest = -1;

		for (size_t index = 0; index < sizeof kept / sizeof *kept; index++)
			if (kept[index] >= (int)next && (lowest < 0 || kept[index] < lowest))
				lowest = kept[index];
		if (lowest < 0)
			break;
		if ((unsigned int)lowest > next)
			syscall(SYS_close_range, next, (unsigned int)lowest - 1, 0);
		next = (unsigned int)lowest + 1;
	}
	syscall(SYS_close_range, next, ~0u, 0);
}

// Waits until the error pipe says how the exec went: that may take as long as the program's file system does. False where
// the supervisor is gone by then, or has ordered the end.
static bool wait_for_exec(struct keeper *keeper, int error_pipe)
{
	struct pollfd wait[] = { { .fd = error_pipe, .events = POLLIN },
	                         { .fd = keeper->supervisor, .events = POLLIN },
	                         { .fd = keeper->reports, .events = POLLIN } };

	for (;;) {
		if (poll(wait, 3, -1) < 0)
			continue;
		if (wait[1].revents || (wait[2].revents && keeper_obey(keeper)))
			return false;
		if (wait[0].revents)
			return true;
	}
}

// Whether the child has become the guest's program. Its name tells, also when it has died: until then it is the keeper's.
static bool has_executed(pid_t child)
{
	char name[32], own[32];

	return !leasehold_name(child, name, sizeof name) || !leasehold_name(getpid(), own, sizeof own) ||
	       strcmp(name, own) != 0;
}

static void report_start(struct keeper *keeper)
{
	keeper_report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_STARTED, .pid = keeper->guest,
	                                          .start_time = leasehold_start_time(keeper->guest) });
}

// The start is over before it was said to have worked: the end of a guest that did run is told after its start.
static void end_start(struct keeper *keeper)
{
	siginfo_t information;

	kill(keeper->guest, SIGKILL);
	while (waitid(P_PID, (id_t)keeper->guest, &information, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	if (has_executed(keeper->guest))
		report_start(keeper);
	keeper_end_guest(keeper);
	_exit(0);
}

static void start_guest(struct keeper *keeper, const struct leasehold_start *start)
{
	struct leasehold_report failure = { .kind = LEASEHOLD_GUEST_FAILED, .step = LEASEHOLD_STEP_FORK };
	pid_t own = getpid();
	int error_pipe[2];

	if (pipe2(error_pipe, O_CLOEXEC) < 0 || (keeper->guest = fork()) < 0) {
		failure.value = errno;
		keeper_report(keeper, failure);
		_exit(0);
	}
	if (keeper->guest == 0)
		become_guest(start, own, error_pipe[1]);
	close(error_pipe[1]);
	// In a session of its own, the keeper doesn't count where the kernel asks whether somebody is left to continue the
	// guest's process group; and no signal to the caller's group can take keeper and supervisor together.
	setsid();

	if (!wait_for_exec(keeper, error_pipe[0]))
		end_start(keeper);
	ssize_t size = read(error_pipe[0], &failure, sizeof failure);
	if (size == sizeof failure) {
		keeper_kill_everything(keeper);
		keeper_report(keeper, failure);
		_exit(0);
	}
	if (!has_executed(keeper->guest))
		end_start(keeper);
	report_start(keeper);
}

static void run_keeper(const struct leasehold_start *start, int reports, int supervisor)
{
	struct keeper keeper = { .reports = reports, .supervisor = supervisor, .lease_socket = start->lease_socket,
				 .device_locks = start->device_locks,
	                         .adopts = start->adopts };
	sigset_t child;

	prctl(PR_SET_NAME, "leasehold-keepr");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		_exit(125);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaddset(&child, KEEPER_FORSAKEN);
	prctl(PR_SET_PDEATHSIG, KEEPER_FORSAKEN);
	keeper.child_signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (keeper.child_signals < 0)
		_exit(125);
	start_guest(&keeper, start);
	close_others(&keeper);
	leasehold_outlast_others();
	leasehold_keep_capabilities(1ull << CAP_KILL | 1ull << CAP_SYS_NICE | 1ull << CAP_IPC_LOCK);
	leasehold_stay_in_memory();
	keeper_watch(&keeper);
	_exit(0);
}

pid_t leasehold_keeper_start(const struct leasehold_start *start, int *report_socket)
{
	int pair[2], supervisor, saved;
	pid_t keeper;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	supervisor = (int)syscall(SYS_pidfd_open, getpid(), 0);
	keeper = supervisor < 0 ? -1 : fork();
	if (keeper == 0) {
		close(pair[0]);
		run_keeper(start, pair[1], supervisor);
	}
	saved = errno;
	close(pair[1]);
	if (supervisor >= 0)
		close(supervisor);
	if (keeper < 0) {
		close(pair[0]);
		errno = saved;
		return -1;
	}
	*report_socket = pair[0];
	return keeper;
}
