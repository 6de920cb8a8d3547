#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void fail(int pipe, enum leasehold_step step)
{
	struct leasehold_report message = { .kind = LEASEHOLD_GUEST_FAILED, .step = step, .value = errno };

	while (write(pipe, &message, sizeof message) < 0 && errno == EINTR)
		;
	_exit(127);
}

void become_guest(const struct leasehold_start *start, pid_t keeper, int error_pipe)
{
	// The parent's thread is the keeper's only one, so that the signal comes with the keeper's death and not before.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		fail(error_pipe, LEASEHOLD_STEP_PARENT);
	if (start->closed_in_guest >= 0)
		close(start->closed_in_guest);
	if (start->lease_socket >= 0) {
		int number = start->guest_lease_socket;

		// The error pipe may sit on the number that the guest is promised.
		if (error_pipe == number) {
			error_pipe = fcntl(error_pipe, F_DUPFD_CLOEXEC, number + 1);
			if (error_pipe < 0)
				_exit(127);
		}
		if (start->lease_socket == number) {
			if (fcntl(number, F_SETFD, 0) < 0)
				fail(error_pipe, LEASEHOLD_STEP_DESCRIPTOR);
		} else if (dup2(start->lease_socket, number) < 0 && fcntl(start->lease_socket, F_DUPFD, 3) < 0) {
			// Where the caller's descriptors reach up to the limit, it is one below.
			fail(error_pipe, LEASEHOLD_STEP_DESCRIPTOR);
		}
	}
	leasehold_caller_restore(&start->caller);
	execve(start->executable, start->arguments, start->environment);
	if (errno == ENOEXEC) {
		// As execvp has it, and every shell.
		execve(start->shell_arguments[0], start->shell_arguments, start->environment);
		errno = ENOEXEC;
	}
	fail(error_pipe, LEASEHOLD_STEP_EXEC);
}
