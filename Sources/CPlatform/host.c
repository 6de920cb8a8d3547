#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <unistd.h>

static void end_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	// It may have ended before that.
	if (getppid() != parent)
		_exit(1);
}

pid_t leasehold_fork_alone(int kept)
{
	pid_t parent = getpid();
	pid_t child = fork();
	int null;

	if (child != 0)
		return child;
	end_with_parent(parent);
	null = open("/dev/null", O_RDWR);
	for (int number = 0; number <= 2; number++)
		dup2(null, number);
	if (kept > 3)
		close_range(3, kept - 1, 0);
	close_range(kept + 1, ~0U, 0);
	if (chdir("/") < 0)
		_exit(1);
	return 0;
}

void leasehold_end_at_once(int status)
{
	_exit(status);
}

int leasehold_become(uid_t user, gid_t group, const gid_t *groups, int group_count)
{
	pid_t parent = getppid();

	if (setgroups(group_count, groups) < 0 || setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0)
		return -1;
	// A change of user forgets it.
	end_with_parent(parent);
	return 0;
}

int leasehold_file_system_at(const char *path, struct leasehold_file_system *found)
{
	struct statfs system;
	struct stat status;

	if (statfs(path, &system) < 0 || stat(path, &status) < 0)
		return -1;
	*found = (struct leasehold_file_system){
		// As an unsigned number of 32 bits, whatever the C library makes of it.
		.magic = (int64_t)(uint32_t)system.f_type,
		.is_read_only = system.f_flags & ST_RDONLY,
		.blocks = system.f_blocks,
		.free_bytes = (uint64_t)system.f_bavail * (uint64_t)system.f_frsize,
		.files = system.f_files,
		.free_files = system.f_ffree,
		.device_major = major(status.st_dev),
		.device_minor = minor(status.st_dev),
	};
	return 0;
}

int leasehold_clock_is_kept(bool *kept)
{
	struct timex state = {.modes = 0};
	int result = adjtimex(&state);

	if (result < 0)
		return -1;
	*kept = result != TIME_ERROR && !(state.status & STA_UNSYNC);
	return 0;
}

const int leasehold_o_unnamed = O_TMPFILE;
