// The guest that tests run with and without the supervisor: it tells what it sees, ends in every way, and resists.
// Whatever it does ends by itself, so that a broken supervisor leaves nothing behind for long.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const double defaultLifetimeSeconds = 120;

static const char usage[] =
    "usage: ProbeGuest report [FILE]\n"
    "       ProbeGuest exit N | signal N | sleep SECONDS | cat | read-stdin\n"
    "       ProbeGuest print-and-close [LINE [SECONDS]]\n"
    "       ProbeGuest stop-self [stop|tstp|ttin|ttou [EXIT-STATUS]]\n"
    "       ProbeGuest log-signals [SECONDS [END-SIGNAL]]\n"
    "       ProbeGuest write FILE ID [MILLISECONDS]\n"
    "       ProbeGuest claim FILE ID SECONDS | watch FILE SECONDS\n"
    "       ProbeGuest dirty-pages FILE\n"
    "       ProbeGuest monitor BEHAVIOUR[=MILLISECONDS] SOCKET DISK [LIFETIME]\n"
    "       ProbeGuest faultfs DIRECTORY MOUNTPOINT\n"
    "       ProbeGuest hostile MODE[,MODE...] PIDFILE [LIFETIME]\n"
    "       ProbeGuest launch [OPTION...] -- COMMAND [ARG...]\n";

noreturn void fail(const char *what) {
    fprintf(stderr, "ProbeGuest: %s: %s\n", what, strerror(errno));
    exit(2);
}

uint64_t nowNanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

unsigned long long ownStartTime(void) {
    char text[1024];
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = 0;
    // The name in field 2 may hold spaces and brackets, so count from its last bracket.
    char *field = strrchr(text, ')');
    for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

void dieAfter(double seconds) {
    // A timer of the kernel's own reaches a process that is stopped, and SIGKILL one that blocks or ignores everything.
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    if (seconds < 0.001) seconds = 0.001;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)seconds}};
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &when, NULL) != 0)
        fail("timer");
}

static void sleepFor(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static int endBySignal(int number) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, number);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    // The process, not the thread: a stop signal has to be seen by the parent.
    kill(getpid(), number);
    sleepFor(1);
    fprintf(stderr, "ProbeGuest: still alive after signal %d\n", number);
    return 2;
}

static int printAndClose(const char *line, double seconds) {
    printf("%s\n", line);
    fflush(stdout);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    sleepFor(seconds);
    return 0;
}

static int stopSelf(const char *how, int status) {
    int number = strcmp(how, "tstp") == 0   ? SIGTSTP
                 : strcmp(how, "ttin") == 0 ? SIGTTIN
                 : strcmp(how, "ttou") == 0 ? SIGTTOU
                                            : SIGSTOP;
    dieAfter(defaultLifetimeSeconds);
    kill(getpid(), number);
    printf("continued\n");
    return status;
}

static int logSignals(double seconds, int endSignal) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    // An ignored signal is dropped even while it is blocked.
    for (int number = 1; number <= SIGRTMAX; number++) signal(number, SIG_DFL);
    dieAfter(seconds + 5);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready %d\n", getpid());
    uint64_t end = nowNanoseconds() + (uint64_t)(seconds * 1e9);
    for (;;) {
        uint64_t now = nowNanoseconds();
        if (now >= end) return 0;
        struct timespec left = {(time_t)((end - now) / 1000000000u), (long)((end - now) % 1000000000u)};
        siginfo_t info;
        int number = sigtimedwait(&all, &info, &left);
        if (number < 0) continue;
        printf("signal %d code %d pid %d\n", number, info.si_code, info.si_code > 0 ? 0 : info.si_pid);
        if (number == endSignal) return 0;
    }
}

static int readStandardInput(void) {
    char line[4096];
    dieAfter(defaultLifetimeSeconds);
    printf("reading\n");
    fflush(stdout);
    errno = 0;
    if (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        printf("read: %s\n", line);
        return 0;
    }
    if (ferror(stdin)) printf("error: %s\n", strerror(errno));
    else printf("end of file\n");
    return ferror(stdin) ? 1 : 0;
}

static int copyStandardInput(void) {
    char buffer[65536];
    ssize_t length;
    dieAfter(defaultLifetimeSeconds);
    while ((length = read(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
        if (length < 0 && errno == EINTR) continue;
        if (length < 0) fail("read");
        for (ssize_t done = 0; done < length;) {
            ssize_t written = write(STDOUT_FILENO, buffer + done, (size_t)(length - done));
            if (written < 0 && errno != EINTR) fail("write");
            if (written > 0) done += written;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    restoreDispositions();
    const char *mode = argc > 1 ? argv[1] : "";
    const char *first = argc > 2 ? argv[2] : NULL;
    const char *second = argc > 3 ? argv[3] : NULL;
    const char *third = argc > 4 ? argv[4] : NULL;

    if (strcmp(mode, "report") == 0) return report(argc, argv, first);
    if (strcmp(mode, "exit") == 0 && first) return atoi(first);
    if (strcmp(mode, "signal") == 0 && first) return endBySignal(atoi(first));
    if (strcmp(mode, "sleep") == 0 && first) return sleepFor(atof(first)), 0;
    if (strcmp(mode, "cat") == 0) return copyStandardInput();
    if (strcmp(mode, "read-stdin") == 0) return readStandardInput();
    if (strcmp(mode, "print-and-close") == 0)
        return printAndClose(first ? first : "closing", second ? atof(second) : 5);
    if (strcmp(mode, "stop-self") == 0) return stopSelf(first ? first : "stop", second ? atoi(second) : 0);
    if (strcmp(mode, "log-signals") == 0)
        return logSignals(first ? atof(first) : 60, second ? atoi(second) : SIGTERM);
    if (strcmp(mode, "write") == 0 && first && second) {
        dieAfter(defaultLifetimeSeconds);
        return writeDisk(first, second, third ? atol(third) : 5);
    }
    if (strcmp(mode, "claim") == 0 && first && second && third) return claimDisk(first, second, atof(third));
    if (strcmp(mode, "watch") == 0 && first && second) return claimDisk(first, NULL, atof(second));
    if (strcmp(mode, "faultfs") == 0 && first && second) return faultFileSystem(first, second);
    if (strcmp(mode, "hostile") == 0 && first && second)
        return hostile(first, second, third ? atof(third) : defaultLifetimeSeconds);
    if (strcmp(mode, "dirty-pages") == 0 && first) return printDirtyPages(first);
    if (strcmp(mode, "monitor") == 0 && first && second && third)
        return monitor(first, second, third, argc > 5 ? atof(argv[5]) : defaultLifetimeSeconds);
    if (strcmp(mode, "launch") == 0) return launch(argc - 2, argv + 2);
    fputs(usage, stderr);
    return 2;
}
