#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "killing.h"
#include "procfs.h"

// How long the supervisor has to say that it deals with a lease socket that hung up. The guest has to be dead within a
// second of it.
enum { TAKE_OVER_MILLISECONDS = 500 };

struct keeper {
	int reports;
	int supervisor;    // pidfd
	int lease_socket;
	int device_locks;
	int child_signals;
	pid_t guest;
	bool adopts;
	// When the guest is killed for a lease socket that hung up; 0: it is not going to be.
	int64_t deadline;
	// The supervisor has seen to it that the guest stands still without its leases.
	bool is_excused;
};

// A supervisor that hangs reads no reports. That the guest stopped may then get lost, that it ended may not: by then
// nothing is left to watch, so waiting for room costs nothing.
static void report(struct keeper *keeper, struct leasehold_report message)
{
	while (send(keeper->reports, &message, sizeof message, MSG_NOSIGNAL) < 0) {
		struct pollfd room[] = { { .fd = keeper->reports, .events = POLLOUT },
		                         { .fd = keeper->supervisor, .events = POLLIN } };

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || message.kind != LEASEHOLD_GUEST_ENDED)
			return;
		if (poll(room, 2, -1) > 0 && room[1].revents)
			return;
	}
}

// --- killing ---

static void drain_child_signals(struct keeper *keeper, int milliseconds)
{
	struct pollfd wait = { .fd = keeper->child_signals, .events = POLLIN };
	struct signalfd_siginfo information;

	if (poll(&wait, 1, milliseconds) > 0)
		while (read(keeper->child_signals, &information, sizeof information) > 0)
			;
}

// Returns when nothing is left, with how the guest's first process ended where it ended just then. A process that can't
// die yet (blocked in the kernel) keeps the keeper here, and with it the lease socket open.
static int kill_everything(struct keeper *keeper)
{
	int pause = 1, status = SIGKILL;

	leasehold_run_before_others();
	for (;;) {
		struct killing killing = { NULL, 0, 0, 0 };

		if (kill_pass(&killing, keeper->guest, &status) == 0)
			break;
		// Where some have ended, others may have fallen to us by that.
		if (killing.reaped > 0)
			continue;
		drain_child_signals(keeper, pause);
		if (pause < 100)
			pause *= 2;
	}
	keeper->guest = 0;
	return status;
}

// --- the guest's life ---

// A supervisor that stopped itself with its guest can't see that the guest went on, or ended, without it.
static void continue_supervisor(const struct keeper *keeper)
{
	syscall(SYS_pidfd_send_signal, keeper->supervisor, SIGCONT, NULL, 0);
}

static void report_end(struct keeper *keeper, int status)
{
	continue_supervisor(keeper);
	report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_ENDED, .value = status });
}

static bool first_living(pid_t child, void *context)
{
	if (!leasehold_is_alive(child))
		return true;
	*(pid_t *)context = child;
	return false;
}

// Returns true when the guest has ended, with nothing of it left.
static bool guest_exited(struct keeper *keeper, int status)
{
	pid_t remaining = 0;

	if (keeper->adopts && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		for_each_child(first_living, &remaining);
		if (remaining > 0) {
			keeper->guest = remaining;
			report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_ADOPTED, .pid = remaining,
			                                          .start_time = leasehold_start_time(remaining) });
			return false;
		}
	}
	keeper->guest = 0;
	kill_everything(keeper);
	report_end(keeper, status);
	return true;
}

static bool reap(struct keeper *keeper)
{
	for (;;) {
		int status;
		pid_t child = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL);

		if (child < 0 && errno == EINTR)
			continue;
		if (child <= 0)
			return false;
		if (child != keeper->guest)
			continue;
		if (WIFSTOPPED(status))
			report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_STOPPED, .value = WSTOPSIG(status) });
		else if (WIFCONTINUED(status)) {
			report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_CONTINUED });
			continue_supervisor(keeper);
		}
		else if (guest_exited(keeper, status))
			return true;
	}
}

static void end_guest(struct keeper *keeper)
{
	report_end(keeper, kill_everything(keeper));
}

static int64_t milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Receives an order, and the descriptor that came with it, or -1.
static ssize_t receive(int socket, struct leasehold_order *order, int *descriptor)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec bytes = { order, sizeof *order };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
	                          .msg_controllen = sizeof control };
	ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);

	*descriptor = -1;
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(descriptor, CMSG_DATA(header), sizeof(int));
	return size;
}

// Returns true when the order was to end everything, or when there is nobody left to give one.
static bool obey(struct keeper *keeper)
{
	struct leasehold_order order;
	int descriptor;
	ssize_t size = receive(keeper->reports, &order, &descriptor);

	if (size < 0)
		return errno != EAGAIN && errno != EINTR;
	if (size != sizeof order)
		return true;
	switch (order.kind) {
	case LEASEHOLD_ORDER_SIGNAL:
		if (keeper->guest > 0)
			kill(keeper->guest, order.value);
		return false;
	case LEASEHOLD_ORDER_WAIT:
		keeper->is_excused = order.value < 0;
		keeper->deadline = order.value < 0 ? 0 : milliseconds_now() + order.value;
		return false;
	case LEASEHOLD_ORDER_LEASES:
		if (descriptor >= 0) {
			close(keeper->lease_socket);
			keeper->lease_socket = descriptor;
			keeper->deadline = 0;
			keeper->is_excused = false;
		}
		return false;
	default:
		return true;
	}
}

static void watch(struct keeper *keeper)
{
	enum { REPORTS, SUPERVISOR, CHILDREN, LEASES, COUNT };
	struct pollfd wait[COUNT] = {
		[REPORTS] = { .fd = keeper->reports, .events = POLLIN },
		[SUPERVISOR] = { .fd = keeper->supervisor, .events = POLLIN },
		[CHILDREN] = { .fd = keeper->child_signals, .events = POLLIN },
		[LEASES] = { .fd = keeper->lease_socket, .events = POLLRDHUP },
	};
	bool has_hung_up = false;

	for (;;) {
		int watched = keeper->lease_socket;
		int64_t left = keeper->deadline ? keeper->deadline - milliseconds_now() : -1;
		int ready;

		wait[LEASES].fd = has_hung_up ? -1 : watched;
		ready = poll(wait, COUNT, keeper->deadline && left < 0 ? 0 : (int)left);
		if (ready < 0 && errno == EINTR)
			continue;
		// The supervisor is stopped, or hangs: the lease is gone and nobody deals with it.
		if (keeper->deadline && milliseconds_now() >= keeper->deadline && !wait[REPORTS].revents)
			return end_guest(keeper);
		if (wait[CHILDREN].revents) {
			drain_child_signals(keeper, 0);
			if (reap(keeper))
				return;
		}
		if (wait[REPORTS].revents && obey(keeper))
			return end_guest(keeper);
		if (wait[SUPERVISOR].revents)
			return end_guest(keeper);
		if (keeper->lease_socket != watched) {
			has_hung_up = false;
		} else if (wait[LEASES].revents && !has_hung_up) {
			has_hung_up = true;
			// The supervisor may have seen it first, and have said how long it needs.
			if (!keeper->deadline && !keeper->is_excused)
				keeper->deadline = milliseconds_now() + TAKE_OVER_MILLISECONDS;
		}
	}
}

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
		if (wait[1].revents || (wait[2].revents && obey(keeper)))
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
	report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_STARTED, .pid = keeper->guest,
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
	end_guest(keeper);
	_exit(0);
}

static void start_guest(struct keeper *keeper, const struct leasehold_start *start)
{
	struct leasehold_report failure = { .kind = LEASEHOLD_GUEST_FAILED, .step = LEASEHOLD_STEP_FORK };
	pid_t own = getpid();
	int error_pipe[2];

	if (pipe2(error_pipe, O_CLOEXEC) < 0 || (keeper->guest = fork()) < 0) {
		failure.value = errno;
		report(keeper, failure);
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
		kill_everything(keeper);
		report(keeper, failure);
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
	keeper.child_signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (keeper.child_signals < 0)
		_exit(125);
	start_guest(&keeper, start);
	close_others(&keeper);
	leasehold_outlast_others();
	leasehold_keep_capabilities(1ull << CAP_KILL | 1ull << CAP_SYS_NICE | 1ull << CAP_IPC_LOCK);
	leasehold_stay_in_memory();
	watch(&keeper);
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
