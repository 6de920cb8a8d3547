#define _GNU_SOURCE
#include "keeping.h"

#include <errno.h>
#include <fcntl.h>
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

#include "killing.h"
#include "procfs.h"

// How long the supervisor has to say that it deals with a lease socket that hung up. The guest has to be dead within a
// second of it.
enum { TAKE_OVER_MILLISECONDS = 500 };

// A supervisor that hangs reads no reports. That the guest stopped may then get lost, that it ended may not: by then
// nothing is left to watch, so waiting for room costs nothing.
void keeper_report(struct keeper *keeper, struct leasehold_report message)
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
			if ((int)information.ssi_signo == KEEPER_FORSAKEN)
				keeper->is_forsaken = true;
}

// Returns when nothing is left, with how the guest's first process ended where it ended just then. A process that can't
// die yet (blocked in the kernel) keeps the keeper here, and with it the lease socket open.
int keeper_kill_everything(struct keeper *keeper)
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
	keeper_report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_ENDED, .value = status });
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
			keeper_report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_ADOPTED, .pid = remaining,
			                                          .start_time = leasehold_start_time(remaining) });
			return false;
		}
	}
	keeper->guest = 0;
	keeper_kill_everything(keeper);
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
			keeper_report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_STOPPED, .value = WSTOPSIG(status) });
		else if (WIFCONTINUED(status)) {
			keeper_report(keeper, (struct leasehold_report){ .kind = LEASEHOLD_GUEST_CONTINUED });
			continue_supervisor(keeper);
		}
		else if (guest_exited(keeper, status))
			return true;
	}
}

void keeper_end_guest(struct keeper *keeper)
{
	report_end(keeper, keeper_kill_everything(keeper));
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
bool keeper_obey(struct keeper *keeper)
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

void keeper_watch(struct keeper *keeper)
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
			return keeper_end_guest(keeper);
		if (wait[CHILDREN].revents) {
			drain_child_signals(keeper, 0);
			if (reap(keeper))
				return;
			if (keeper->is_forsaken)
				return keeper_end_guest(keeper);
		}
		if (wait[REPORTS].revents && keeper_obey(keeper))
			return keeper_end_guest(keeper);
		if (wait[SUPERVISOR].revents)
			return keeper_end_guest(keeper);
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
