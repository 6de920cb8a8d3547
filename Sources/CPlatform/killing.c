#include "killing.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "procfs.h"

static bool kill_one(pid_t child, void *context)
{
	struct killing *killing = context;

	for (int index = 0; index < killing->spared_count; index++)
		if (killing->spared[index].pid == child &&
		    killing->spared[index].start_time == leasehold_start_time(child))
			return true;
	kill(child, SIGKILL);
	killing->killed++;
	return true;
}

// As leasehold_kill_children, and the wait status of one child where that one was reaped.
int kill_pass(struct killing *killing, pid_t wanted, int *wanted_status)
{
	int children = for_each_child(kill_one, killing);

	if (children < 0 && wanted > 0)
		kill(wanted, SIGKILL);
	for (;;) {
		int status;
		pid_t ended = waitpid(-1, &status, WNOHANG | __WALL);

		if (ended < 0 && errno == EINTR)
			continue;
		if (ended < 0)
			return errno == ECHILD ? 0 : -1;
		if (ended == 0)
			return children < 0 ? -1 : killing->killed;
		killing->reaped++;
		if (ended == wanted)
			*wanted_status = status;
	}
}

int leasehold_kill_children(const struct leasehold_process *spared, int spared_count)
{
	struct killing killing = { spared, spared_count, 0, 0 };
	int status;

	return kill_pass(&killing, 0, &status);
}

struct listing {
	struct leasehold_process *children;
	int room;
	int count;
};

static bool list_one(pid_t child, void *context)
{
	struct listing *listing = context;

	if (listing->count == listing->room)
		return false;
	listing->children[listing->count++] =
		(struct leasehold_process){ .pid = child, .start_time = leasehold_start_time(child) };
	return true;
}

int leasehold_children(struct leasehold_process *children, int room)
{
	struct listing listing = { children, room, 0 };

	return for_each_child(list_one, &listing) < 0 ? -1 : listing.count;
}
