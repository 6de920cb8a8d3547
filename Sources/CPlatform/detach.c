#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"

static void wait_in_front(int front, int signals, pid_t child)
{
	struct pollfd wait[] = { { .fd = front, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	bool ready = false;
	int status;

	for (;;) {
		char text[1024];

		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents) {
			struct signalfd_siginfo information;

			if (read(signals, &information, sizeof information) > 0)
				kill(child, SIGTERM);
		}
		if (!wait[0].revents)
			continue;
		ssize_t size = read(front, text, sizeof text);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			break;
		ready = true;
		// A NUL alone says that the guest runs, and nothing to print.
		for (ssize_t done = text[0] ? 0 : size; done < size;) {
			ssize_t put = write(1, text + done, (size_t)(size - done));

			if (put < 0 && errno != EINTR)
				break;
			done += put > 0 ? put : 0;
		}
	}
	if (ready)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		leasehold_signal_self(WTERMSIG(status));
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
}

int leasehold_detach(const struct leasehold_caller *caller, char **arguments, char *number)
{
	int ends[2], signals;
	sigset_t mask;
	pid_t child;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	if (!(caller->ignored & 1ull << (SIGINT - 1)))
		sigaddset(&mask, SIGINT);
	if (!(caller->ignored & 1ull << (SIGHUP - 1)))
		sigaddset(&mask, SIGHUP);
	if (pipe(ends) < 0)
		return -1;
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	snprintf(number, 12, "%d", ends[1]);
	child = fork();
	if (child < 0)
		return -1;
	if (child > 0) {
		close(ends[1]);
		signals = signalfd(-1, &mask, SFD_CLOEXEC);
		wait_in_front(ends[0], signals, child);
	}
	setsid();
	leasehold_caller_restore(caller);
	execv("/proc/self/exe", arguments);
	_exit(125);
}
