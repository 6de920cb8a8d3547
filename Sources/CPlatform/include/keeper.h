// The keeper and the guest's start: the few steps between fork and exec, and the process that outlives the supervisor
// just long enough to kill what it supervised. Everything here is async-signal-safe, because it runs in the child of a
// process that has threads.
#ifndef LEASEHOLD_KEEPER_H
#define LEASEHOLD_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

// What a process was started with that the supervisor needs otherwise for itself, for the guest to get back.
struct leasehold_caller {
	// Bit N-1 stands for signal N.
	uint64_t blocked;
	uint64_t ignored;
	uint64_t pending;
	struct rlimit descriptors;
	struct rlimit file_size;
	mode_t umask;
};

// Reads all of it, then makes the process the supervisor's: every disposition the default but SIGPIPE, which is ignored;
// every signal blocked, and none pending; the two soft limits raised to the hard ones; umask 022.
struct leasehold_caller leasehold_caller_take(void);

// Makes the process the caller's again, but for its pending signals, which are raised anew.
void leasehold_caller_restore(const struct leasehold_caller *caller);

// Unblocks and raises a signal with its default disposition: the way to end, or to stop, as the guest did.
void leasehold_signal_self(int signal);

// What the guest is started with. All pointers stay the caller's; they are read in the children.
struct leasehold_start {
	const char *executable;
	char *const *arguments;
	char *const *environment;
	char *const *shell_arguments;  // /bin/sh, the executable, the arguments but the first: for a script without #!
	struct leasehold_caller caller;
	int lease_socket;        // the registered sanlock socket, or -1
	int device_locks;        // what the keeper keeps open beside it for as long as anything of the guest lives, or -1
	int guest_lease_socket;  // its number in the guest, above everything the caller passed
	int closed_in_guest;     // a descriptor of the caller's that is not the guest's (--ready-fd), or -1
	bool adopts;             // the first process may end with 0 and leave another that is the guest
};

// From the keeper, one packet each.
enum leasehold_report_kind {
	LEASEHOLD_GUEST_STARTED = 1,  // pid, start_time
	LEASEHOLD_GUEST_FAILED,       // step, value: errno
	LEASEHOLD_GUEST_STOPPED,      // value: the signal
	LEASEHOLD_GUEST_CONTINUED,
	LEASEHOLD_GUEST_ADOPTED,      // pid, start_time: the process that stays
	LEASEHOLD_GUEST_ENDED,        // value: the wait status; no process of the guest is left
};

// The step that failed between fork and exec.
enum leasehold_step {
	LEASEHOLD_STEP_FORK = 1,
	LEASEHOLD_STEP_PARENT,
	LEASEHOLD_STEP_DESCRIPTOR,
	LEASEHOLD_STEP_EXEC,
};

struct leasehold_report {
	int32_t kind;
	int32_t pid;
	int32_t step;
	int32_t value;
	uint64_t start_time;
};

// To the keeper, one packet each.
enum leasehold_order_kind {
	LEASEHOLD_ORDER_SIGNAL = 1,   // value: the signal, for the guest's first process
	LEASEHOLD_ORDER_KILL,         // everything
	LEASEHOLD_ORDER_WAIT,         // value: for how many milliseconds from now a lease socket that hung up is left to
	                              // the supervisor, -1: for good, since the guest stands still
	LEASEHOLD_ORDER_LEASES,       // with a descriptor (SCM_RIGHTS): the lease socket from now on
};

struct leasehold_order {
	int32_t kind;
	int32_t value;
};

// Forks. The child executes this program anew in a session of its own, as its caller would have, with these arguments: what
// Swift's locks remember of the thread that they were first used in is wrong after a fork. In place of the argument that is
// `number`, with room for 12 bytes, it gets the number of a descriptor. The original process waits in front of it: bytes that
// come through the descriptor, up to its closing, are printed to standard output and it exits with 0; where it is closed
// without any, the original ends as its child does. SIGTERM, SIGINT and SIGHUP to the original, where the caller doesn't
// ignore them, become SIGTERM for the child. Returns -1 with errno where there is no fork, and never else.
int leasehold_detach(const struct leasehold_caller *caller, char **arguments, char *number);

// Forks the keeper, which forks and executes the guest. Returns the keeper's pid, or -1 with errno.
// report_socket receives the supervisor's end of a SOCK_SEQPACKET pair (close-on-exec, non-blocking).
pid_t leasehold_keeper_start(const struct leasehold_start *start, int *report_socket);

// A process that can't be mistaken for a later one under the same pid.
struct leasehold_process {
	pid_t pid;
	uint64_t start_time;
};

// Writes up to `room` of the calling process's children to `children` and returns how many, or -1 with errno.
int leasehold_children(struct leasehold_process *children, int room);

// One pass over the calling process's children but those spared: SIGKILL to each, then reap what has ended. Returns how
// many there were, or -1 with errno. Orphans of the killed become children (child subreaper), so call until 0.
int leasehold_kill_children(const struct leasehold_process *spared, int spared_count);

// Field 22 of /proc/PID/stat, in clock ticks since boot; 0 where there is no such process.
uint64_t leasehold_start_time(pid_t pid);

// Whether the process is there and is not a zombie.
bool leasehold_is_alive(pid_t pid);

// Whether the process is gone, a zombie, exiting, or about to be killed: whatever it holds is about to be let go.
bool leasehold_is_ending(pid_t pid);

// Puts the calling thread before all that isn't real-time, where it may: a guest of processes that fork and exit must not
// run faster than it can be killed.
void leasehold_run_before_others(void);

// Makes the process the last one that the kernel kills when memory runs out, where it may (CAP_SYS_RESOURCE). What was
// forked before keeps what it had. Source: man 5 proc_pid_oom_score_adj.
void leasehold_outlast_others(void);

// Makes sure that the process leaves no core file, however it dies.
void leasehold_leave_no_core(void);

// Makes the caller the one that orphans below it fall to. Returns 0, or -1 with errno.
int leasehold_become_subreaper(void);

// Signals the process that has this pid and this start time. The pidfd is taken before the look at the start time, so
// that a later process under the same pid can't be hit. Returns 0, or -1 with errno.
int leasehold_signal_process(pid_t pid, uint64_t start_time, int signal);

// Locks what the process touches of its memory, now and later, where it may do so without limit. Returns whether it does.
bool leasehold_stay_in_memory(void);

// Keeps of the calling thread's capabilities those in the mask (bit N: capability N). Returns 0, or -1 with errno.
int leasehold_keep_capabilities(uint64_t mask);

#endif
