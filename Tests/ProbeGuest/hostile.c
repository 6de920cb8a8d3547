// A guest that is hard to kill. Every process of it is written down, so that a test can tell when the last was gone.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// PIDFILE.alive: a header of one slot's size, then one slot a process. All numbers are 64 bits, in the host's order.
struct slot {
    _Atomic uint64_t pid, startTime, lastAliveNanoseconds, unused;
};
struct header {
    _Atomic uint64_t taken, born, entered, unused;
};
enum { slotCount = 65536 };

static struct {
    bool ignoreSignals, blockSignals, newSession, newGroup, doubleFork, forkChain, changeUser, closeDescriptors;
    bool subreaper, stop, clearParentDeathSignal, vforkExec, timestamps;
    int children, threads, treeDepth, treeWidth;
    uid_t user;
} mode;

static struct header *header;
static struct slot *slots, *ownSlot;
static int pidFile;
static uint64_t deadline;

static double secondsLeft(void) {
    uint64_t now = nowNanoseconds();
    return now >= deadline ? 0 : (double)(deadline - now) / 1e9;
}

static void markAlive(void) { atomic_store(&ownSlot->lastAliveNanoseconds, nowNanoseconds()); }

// Every process's first act: to be known, and to be mortal.
static void enter(void) {
    char line[64];
    // A little after it would end by itself.
    dieAfter(secondsLeft() + 0.5);
    unsigned long long startTime = ownStartTime();
    uint64_t index = atomic_fetch_add(&header->taken, 1);
    ownSlot = &slots[index < slotCount ? index : slotCount - 1];
    atomic_store(&ownSlot->pid, (uint64_t)getpid());
    atomic_store(&ownSlot->startTime, startTime);
    if (mode.timestamps) markAlive();
    int length = snprintf(line, sizeof line, "%d %llu\n", getpid(), startTime);
    if (write(pidFile, line, (size_t)length) != length) fail("pid file");
    atomic_fetch_add(&header->entered, 1);
}

static pid_t forkKnown(void) {
    atomic_fetch_add(&header->born, 1);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) enter();
    return child;
}

static void closeAll(int except) {
    if (except < 0) {
        if (close_range(0, ~0u, 0) != 0)
            for (int descriptor = 0; descriptor < 20000; descriptor++) close(descriptor);
        return;
    }
    if (except > 0) close_range(0, (unsigned)except - 1, 0);
    close_range((unsigned)except + 1, ~0u, 0);
}

static void rest(long microseconds) {
    struct timespec pause = {0, microseconds * 1000};
    nanosleep(&pause, NULL);
}

static noreturn void loop(void) {
    while (secondsLeft() > 0) {
        if (mode.timestamps) markAlive();
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
        rest(mode.timestamps ? 200 : 20000);
    }
    _exit(0);
}

// The end of every process's set-up.
static noreturn void settle(void) {
    if (mode.closeDescriptors) closeAll(-1);
    if (mode.stop) kill(getpid(), SIGSTOP);
    loop();
}

static noreturn void chain(void) {
    // The pid file stays open even with close-fds, or the successors couldn't be written down.
    if (mode.closeDescriptors) closeAll(pidFile);
    while (secondsLeft() > 0) {
        if (mode.timestamps) markAlive();
        rest(2000);
        if (forkKnown() != 0) _exit(0);
    }
    _exit(0);
}

static void growTree(int depth) {
    if (depth <= 0) return;
    for (int branch = 0; branch < mode.treeWidth; branch++) {
        if (forkKnown() != 0) continue;
        growTree(depth - 1);
        settle();
    }
}

static void *spin(void *unused) {
    (void)unused;
    while (secondsLeft() > 0) rest(1000);
    return NULL;
}

static void resistSignals(void) {
    if (mode.ignoreSignals)
        for (int number = 1; number <= SIGRTMAX; number++) signal(number, SIG_IGN);
    if (mode.blockSignals) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
    }
}

static void leaveSession(void) {
    if (mode.doubleFork) {
        if (forkKnown() != 0) _exit(0);
        setsid();
        if (forkKnown() != 0) _exit(0);
        return;
    }
    if (mode.newSession && setsid() < 0) {
        // A leader of a group can't; its child can, and is the one that the test is about.
        if (forkKnown() == 0) {
            setsid();
            settle();
        }
    }
    if (mode.newGroup) setpgid(0, 0);
}

static void changeUser(void) {
    if (setgroups(0, NULL) != 0 || setresgid(mode.user, mode.user, mode.user) != 0
        || setresuid(mode.user, mode.user, mode.user) != 0)
        fail("setuid");
}

static void executeCopy(const char *modes, const char *path) {
    char lifetime[32], remaining[512] = "", *rest = NULL, *copy = strdup(modes);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (strcmp(item, "vfork-exec") == 0 || strcmp(item, "double-fork") == 0) continue;
        if (*remaining) strcat(remaining, ",");
        strcat(remaining, item);
    }
    free(copy);
    if (!*remaining) strcpy(remaining, "plain");
    snprintf(lifetime, sizeof lifetime, "%.3f", secondsLeft());
    atomic_fetch_add(&header->born, 1);
    pid_t child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", "ProbeGuest", "hostile", remaining, path, lifetime, (char *)NULL);
        _exit(127);
    }
    if (child < 0) fail("vfork");
}

static void makeOrphans(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int orphan = 0; orphan < 2; orphan++) {
        pid_t child = forkKnown();
        if (child == 0) {
            if (forkKnown() == 0) settle();
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

static void parse(const char *modes) {
    char *rest = NULL, *copy = strdup(modes);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(item, '=');
        if (value) *value++ = 0;
        if (strcmp(item, "plain") == 0) continue;
        else if (strcmp(item, "ignore-signals") == 0) mode.ignoreSignals = true;
        else if (strcmp(item, "block-signals") == 0) mode.blockSignals = true;
        else if (strcmp(item, "setsid") == 0) mode.newSession = true;
        else if (strcmp(item, "new-group") == 0) mode.newGroup = true;
        else if (strcmp(item, "double-fork") == 0) mode.doubleFork = true;
        else if (strcmp(item, "fork-chain") == 0) mode.forkChain = true;
        else if (strcmp(item, "fork") == 0) mode.children = value ? atoi(value) : 3;
        else if (strcmp(item, "threads") == 0) mode.threads = value ? atoi(value) : 4;
        else if (strcmp(item, "setuid") == 0) mode.changeUser = true, mode.user = value ? (uid_t)atoi(value) : 65534;
        else if (strcmp(item, "close-fds") == 0) mode.closeDescriptors = true;
        else if (strcmp(item, "subreaper") == 0) mode.subreaper = true;
        else if (strcmp(item, "stop") == 0) mode.stop = true;
        else if (strcmp(item, "clear-pdeathsig") == 0) mode.clearParentDeathSignal = true;
        else if (strcmp(item, "vfork-exec") == 0) mode.vforkExec = true;
        else if (strcmp(item, "timestamps") == 0) mode.timestamps = true;
        else if (strcmp(item, "tree") == 0) {
            if (!value || sscanf(value, "%dx%d", &mode.treeDepth, &mode.treeWidth) != 2)
                mode.treeDepth = 3, mode.treeWidth = 2;
        } else {
            fprintf(stderr, "ProbeGuest: %s: no such mode\n", item);
            exit(2);
        }
    }
    free(copy);
}

static void openRecords(const char *path) {
    char alivePath[PATH_MAX];
    snprintf(alivePath, sizeof alivePath, "%s.alive", path);
    pidFile = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (pidFile < 0) fail(path);
    int alive = open(alivePath, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (alive < 0) fail(alivePath);
    size_t bytes = sizeof *header + slotCount * sizeof *slots;
    if (ftruncate(alive, (off_t)bytes) != 0) fail(alivePath);
    header = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, alive, 0);
    if (header == MAP_FAILED) fail(alivePath);
    slots = (struct slot *)(header + 1);
    close(alive);
}

int hostile(const char *modes, const char *path, double lifetimeSeconds) {
    parse(modes);
    deadline = nowNanoseconds() + (uint64_t)(lifetimeSeconds * 1e9);
    openRecords(path);
    if (atomic_load(&header->born) == 0) atomic_store(&header->born, 1);
    enter();

    resistSignals();
    leaveSession();
    if (mode.clearParentDeathSignal) prctl(PR_SET_PDEATHSIG, 0);
    // Before the change of user, which may take away the right to open the files again.
    if (mode.vforkExec) executeCopy(modes, path);
    if (mode.changeUser) changeUser();
    if (mode.subreaper) makeOrphans();
    growTree(mode.treeDepth);
    for (int child = 0; child < mode.children; child++)
        if (forkKnown() == 0) settle();
    if (mode.forkChain && forkKnown() == 0) chain();
    for (int thread = 0; thread < mode.threads; thread++) {
        pthread_t created;
        if (pthread_create(&created, NULL, spin, NULL) != 0) fail("thread");
    }

    // A chain is never complete, so the wait for all that were born has an end.
    uint64_t patience = nowNanoseconds() + (mode.forkChain ? 200000000u : 5000000000u);
    while (atomic_load(&header->entered) < atomic_load(&header->born) && nowNanoseconds() < patience) rest(500);
    if (write(pidFile, "ready\n", 6) != 6) fail(path);
    settle();
}
