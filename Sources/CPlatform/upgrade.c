#define _GNU_SOURCE
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int leasehold_memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}

void leasehold_set_shown_name(const char *name)
{
	prctl(PR_SET_NAME, name);
}

static void fail(int output)
{
	char message[] = { 0, (char)errno };

	while (write(output, message, sizeof message) < 0 && errno == EINTR)
		;
	_exit(127);
}

static void execute(const char *path, char *const *arguments, char *const *environment, int kept, int output)
{
	const struct rlimit none = { 0, 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setrlimit(RLIMIT_CORE, &none);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		fail(output);
	// The lease socket above all: a copy of it would keep the leases from being free.
	if (kept > 3)
		syscall(SYS_close_range, 3, (unsigned int)kept - 1, 0);
	syscall(SYS_close_range, (unsigned int)kept + 1, ~0u, 0);
	if (fcntl(kept, F_SETFD, 0) < 0)
		fail(1);
	execve(path, arguments, environment);
	fail(1);
}

pid_t leasehold_try_program(const char *path, char *const *arguments, char *const *environment, int kept, int *output)
{
	pid_t parent = getpid(), child;
	int ends[2], saved;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		// Where exec gives root rights back that were dropped, the parent-death signal is forgotten: it gives none.
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		// It may have ended before that.
		if (getppid() != parent)
			_exit(1);
		execute(path, arguments, environment, kept, ends[1]);
	}
	saved = errno;
	close(ends[1]);
	if (child < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		close(ends[0]);
		errno = saved;
		return -1;
	}
	*output = ends[0];
	return child;
}
