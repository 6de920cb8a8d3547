// Killing all that falls to a process.
#ifndef LEASEHOLD_KILLING_H
#define LEASEHOLD_KILLING_H

#include "keeper.h"

// One pass: what to leave alone, and what came of it.
struct killing {
	const struct leasehold_process *spared;
	int spared_count;
	int killed;
	int reaped;
};

// As leasehold_kill_children, and the wait status of one child where that one was reaped.
int kill_pass(struct killing *killing, pid_t wanted, int *wanted_status);

#endif
