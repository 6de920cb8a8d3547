// The keeper at work: what its start hands over to its life.
#ifndef LEASEHOLD_KEEPING_H
#define LEASEHOLD_KEEPING_H

#include "keeper.h"

struct keeper {
	int reports;
	int supervisor;    // pidfd
	int lease_socket;
	int device_locks;
	int child_signals; // and that of the supervisor's end
	pid_t guest;
	bool adopts;
	// When the guest is killed for a lease socket that hung up; 0: it is not going to be.
	int64_t deadline;
	// The supervisor has seen to it that the guest stands still without its leases.
	bool is_excused;
	bool is_forsaken;
};

// Comes when the supervisor's main thread ends. Another one that is blocked in the kernel keeps the process, and with it the
// pidfd and the reports' socket, for as long as it is blocked (man 2 prctl, PR_SET_PDEATHSIG).
#define KEEPER_FORSAKEN SIGRTMAX

// Tells the supervisor something.
void keeper_report(struct keeper *keeper, struct leasehold_report message);

// Kills until nothing is left. Returns the wait status of the guest's first process.
int keeper_kill_everything(struct keeper *keeper);

// Kills everything, and reports the end.
void keeper_end_guest(struct keeper *keeper);

// Takes one order. Returns true when it was to end everything, or when there is nobody left to give one.
bool keeper_obey(struct keeper *keeper);

// Keeps the guest until nothing of it is left.
void keeper_watch(struct keeper *keeper);

#endif
