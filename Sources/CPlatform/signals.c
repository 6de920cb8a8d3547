#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "keeper.h"

// The C library keeps 32 and 33 for its threads; sigaction refuses them.
static bool is_ours(int signal)
{
	return signal != 32 && signal != 33;
}

struct leasehold_signals leasehold_signals_read(void)
{
	struct leasehold_signals signals = { 0, 0 };
	struct sigaction action;
	sigset_t mask;

	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int signal = 1; signal <= 64; signal++) {
		if (!is_ours(signal))
			continue;
		if (sigismember(&mask, signal) == 1)
			signals.blocked |= 1ull << (signal - 1);
		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			signals.ignored |= 1ull << (signal - 1);
	}
	return signals;
}

static void set_disposition(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigemptyset(&action.sa_mask);
	sigaction(signal, &action, NULL);
}

void leasehold_signals_take(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int signal = 1; signal <= 64; signal++) {
		if (is_ours(signal) && signal != SIGKILL && signal != SIGSTOP)
			set_disposition(signal, signal == SIGPIPE ? SIG_IGN : SIG_DFL);
	}
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
