// What a caller can hand down besides arguments and environment, set in one process and one exec, since a chain of
// shell, env, prlimit, … leaves traces of its own (PWD, _, dispositions).
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "usage: ProbeGuest launch [--ignore N,...] [--block N,...] [--pending N,...] [--umask OCTAL] [--nice N]\n"
    "         [--limit RESOURCE-NUMBER=SOFT:HARD]... [--processors N,...] [--oom-score-adjust N]\n"
    "         [--timer-slack NS] [--parent-death-signal N] [--child-subreaper] [--setsid] [--terminal FD]\n"
    "         [--new-group] [--directory DIR] [--open N=FILE]... [--personality N] [--policy N]\n"
    "         [--argument-zero NAME]\n"
    "         -- COMMAND [ARG...]\n";

static void forEachNumber(const char *list, void (*act)(int, void *), void *context) {
    char *rest = NULL, *copy = strdup(list);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) act(atoi(item), context);
    free(copy);
}

static void ignoreSignal(int number, void *context) {
    (void)context;
    // The kernel's own call and layout, since the C library refuses signals 32 and 33, which callers do leave ignored.
    struct {
        void (*handler)(int);
        unsigned long flags;
        void *restorer;
        unsigned long mask;
    } ignored = {.handler = SIG_IGN};
    if (syscall(SYS_rt_sigaction, number, &ignored, NULL, 8) != 0) fail("--ignore");
}

static void blockSignal(int number, void *context) {
    (void)context;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_BLOCK, &one, NULL);
}

static void leavePending(int number, void *context) {
    blockSignal(number, context);
    kill(getpid(), number);
}

static void addProcessor(int number, void *context) { CPU_SET((size_t)number, (cpu_set_t *)context); }

static void setLimit(const char *assignment) {
    int resource = 0;
    long long soft = 0, hard = 0;
    if (sscanf(assignment, "%d=%lld:%lld", &resource, &soft, &hard) != 3) errno = EINVAL, fail("--limit");
    struct rlimit limit = {(rlim_t)soft, (rlim_t)hard};
    if (setrlimit((__rlimit_resource_t)resource, &limit) != 0) fail("--limit");
}

static void openAs(const char *assignment) {
    char *equals = strchr(assignment, '=');
    if (!equals) errno = EINVAL, fail("--open");
    int wanted = atoi(assignment), file = open(equals + 1, O_RDWR | O_CREAT, 0644);
    if (file < 0) fail(equals + 1);
    if (file != wanted) {
        if (dup2(file, wanted) < 0) fail("--open");
        close(file);
    }
}

static void writeNumber(const char *path, const char *value) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, value, strlen(value)) < 0) fail(path);
    close(file);
}

int launch(int argc, char **argv) {
    int index = 0;
    char *argumentZero = NULL;
    for (; index < argc && strcmp(argv[index], "--") != 0; index++) {
        const char *option = argv[index];
        if (strcmp(option, "--setsid") == 0) {
            if (setsid() < 0) fail(option);
            continue;
        }
        if (strcmp(option, "--new-group") == 0) {
            if (setpgid(0, 0) != 0) fail(option);
            continue;
        }
        if (strcmp(option, "--child-subreaper") == 0) {
            prctl(PR_SET_CHILD_SUBREAPER, 1);
            continue;
        }
        if (++index >= argc) break;
        char *value = argv[index];
        int failed = 0;
        if (strcmp(option, "--ignore") == 0) forEachNumber(value, ignoreSignal, NULL);
        else if (strcmp(option, "--block") == 0) forEachNumber(value, blockSignal, NULL);
        else if (strcmp(option, "--pending") == 0) forEachNumber(value, leavePending, NULL);
        else if (strcmp(option, "--umask") == 0) umask((mode_t)strtol(value, NULL, 8));
        else if (strcmp(option, "--nice") == 0) failed = setpriority(PRIO_PROCESS, 0, atoi(value));
        else if (strcmp(option, "--limit") == 0) setLimit(value);
        else if (strcmp(option, "--oom-score-adjust") == 0) writeNumber("/proc/self/oom_score_adj", value);
        else if (strcmp(option, "--timer-slack") == 0) failed = prctl(PR_SET_TIMERSLACK, atol(value));
        else if (strcmp(option, "--parent-death-signal") == 0) failed = prctl(PR_SET_PDEATHSIG, atoi(value));
        else if (strcmp(option, "--terminal") == 0) failed = ioctl(atoi(value), TIOCSCTTY, 0);
        else if (strcmp(option, "--directory") == 0) failed = chdir(value);
        else if (strcmp(option, "--open") == 0) openAs(value);
        else if (strcmp(option, "--argument-zero") == 0) argumentZero = value;
        else if (strcmp(option, "--personality") == 0) failed = personality(strtoul(value, NULL, 0)) < 0 ? -1 : 0;
        else if (strcmp(option, "--policy") == 0) {
            struct sched_param none = {0};
            failed = sched_setscheduler(0, atoi(value), &none);
        } else if (strcmp(option, "--processors") == 0) {
            cpu_set_t processors;
            CPU_ZERO(&processors);
            forEachNumber(value, addProcessor, &processors);
            failed = sched_setaffinity(0, sizeof processors, &processors);
        } else {
            fputs(usage, stderr);
            return 2;
        }
        if (failed < 0) fail(option);
    }
    if (index + 1 >= argc) {
        fputs(usage, stderr);
        return 2;
    }
    char **command = argv + index + 1;
    const char *program = command[0];
    if (argumentZero) command[0] = argumentZero;
    execvp(program, command);
    fprintf(stderr, "ProbeGuest: %s: %s\n", program, strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
