// The guest between fork and exec.
#ifndef LEASEHOLD_GUEST_H
#define LEASEHOLD_GUEST_H

#include "keeper.h"

// Makes the calling process, a child of the keeper, what the caller's child would have been, and executes the program.
// Never returns: where it can't, it writes a LEASEHOLD_GUEST_FAILED report to the error pipe and exits.
void become_guest(const struct leasehold_start *start, pid_t keeper, int error_pipe);

#endif
