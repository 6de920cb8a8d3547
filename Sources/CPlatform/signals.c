#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"

// The system calls themselves: the C library keeps signals 32 and 33 for its threads, and hides them from its callers.
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static uint64_t bit(int signal)
{
	return 1ull << (signal - 1);
}

static void (*disposition(int signal))(int)
{
	struct kernel_action action;

	if (syscall(SYS_rt_sigaction, signal, NULL, &action, sizeof action.mask) < 0)
		return SIG_DFL;
	return action.handler;
}

static void set_disposition(int signal, void (*handler)(int))
{
	struct kernel_action action = { handler, 0, NULL, 0 };

	syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof action.mask);
}

static void set_mask(uint64_t mask, uint64_t *before)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof mask);
}

static bool can_be_set(int signal)
{
	return signal != SIGKILL && signal != SIGSTOP;
}

// A thread that is started gets handlers of the C library's for these two; until then they are the caller's.
static bool is_the_librarys(int signal)
{
	return signal == 32 || signal == 33;
}

static void raise_limit(int resource, struct rlimit *before)
{
	struct rlimit limit;

	getrlimit(resource, before);
	limit = *before;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

struct leasehold_caller leasehold_caller_take(void)
{
	struct leasehold_caller caller;
	memset(&caller, 0, sizeof caller);
	syscall(SYS_rt_sigpending, &caller.pending, sizeof caller.pending);
	set_mask(~0ull & ~bit(32) & ~bit(33), &caller.blocked);
	for (int signal = 1; signal <= 64; signal++) {
		if (disposition(signal) == SIG_IGN)
			caller.ignored |= bit(signal);
		if (!can_be_set(signal) || is_the_librarys(signal))
			continue;
		// Ignoring a signal drops one that is pending: it was not meant for us.
		if (caller.pending & bit(signal))
			set_disposition(signal, SIG_IGN);
		set_disposition(signal, signal == SIGPIPE ? SIG_IGN : SIG_DFL);
	}
	raise_limit(RLIMIT_NOFILE, &caller.descriptors);
	raise_limit(RLIMIT_FSIZE, &caller.file_size);
	caller.umask = umask(022);
	return caller;
}

void leasehold_caller_restore(const struct leasehold_caller *caller)
{
	for (int signal = 1; signal <= 64; signal++) {
		if (can_be_set(signal))
			set_disposition(signal, caller->ignored & bit(signal) ? SIG_IGN : SIG_DFL);
		// All are blocked here still, so that it stays pending.
		if (caller->pending & bit(signal))
			kill(getpid(), signal);
	}
	setrlimit(RLIMIT_NOFILE, &caller->descriptors);
	setrlimit(RLIMIT_FSIZE, &caller->file_size);
	umask(caller->umask);
	set_mask(caller->blocked, NULL);
}

void leasehold_signal_self(int signal)
{
	uint64_t before;

	if (can_be_set(signal))
		set_disposition(signal, SIG_DFL);
	kill(getpid(), signal);
	set_mask(~bit(signal), &before);
	// Here the process has ended, or was stopped and has been continued.
	set_mask(before, NULL);
}
