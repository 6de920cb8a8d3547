#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper.h"

// The C library keeps 32 and 33 for its threads; sigaction refuses them.
static bool is_ours(int signal)
{
	return signal != 32 && signal != 33;
}

static bool can_be_set(int signal)
{
	return is_ours(signal) && signal != SIGKILL && signal != SIGSTOP;
}

static uint64_t bit(int signal)
{
	return 1ull << (signal - 1);
}

static void set_disposition(int signal, void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	sigemptyset(&action.sa_mask);
	sigaction(signal, &action, NULL);
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
	sigset_t all, mask, pending;

	memset(&caller, 0, sizeof caller);
	sigfillset(&all);
	sigpending(&pending);
	sigprocmask(SIG_SETMASK, &all, &mask);
	for (int signal = 1; signal <= 64; signal++) {
		struct sigaction action;

		if (!is_ours(signal))
			continue;
		if (sigismember(&mask, signal) == 1)
			caller.blocked |= bit(signal);
		if (sigismember(&pending, signal) == 1)
			caller.pending |= bit(signal);
		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			caller.ignored |= bit(signal);
		if (!can_be_set(signal))
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
	sigset_t mask;

	sigemptyset(&mask);
	for (int signal = 1; signal <= 64; signal++) {
		if (!is_ours(signal))
			continue;
		if (can_be_set(signal))
			set_disposition(signal, caller->ignored & bit(signal) ? SIG_IGN : SIG_DFL);
		if (caller->blocked & bit(signal))
			sigaddset(&mask, signal);
		// All are blocked here still, so that it stays pending.
		if (caller->pending & bit(signal))
			kill(getpid(), signal);
	}
	setrlimit(RLIMIT_NOFILE, &caller->descriptors);
	setrlimit(RLIMIT_FSIZE, &caller->file_size);
	umask(caller->umask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

void leasehold_signal_self(int signal)
{
	sigset_t only, before;

	if (signal != SIGKILL && signal != SIGSTOP)
		set_disposition(signal, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, signal);
	kill(getpid(), signal);
	sigprocmask(SIG_UNBLOCK, &only, &before);
	// Here the process has ended, or was stopped and has been continued.
	sigprocmask(SIG_SETMASK, &before, NULL);
}
