// Disk guests: two of these on one disk notice each other.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { blockBytes = 512 };

static void note(int logFile, const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    // Straight to both, for a guest that is killed flushes nothing. Nobody may be reading any more.
    if (write(STDOUT_FILENO, line, (size_t)length) < 0) errno = 0;
    if (write(logFile, line, (size_t)length) < 0) errno = 0;
}

int writeDisk(const char *file, const char *identity, long periodMilliseconds) {
    char logPath[PATH_MAX];
    snprintf(logPath, sizeof logPath, "%s.log.%s", file, identity);
    int logFile = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (logFile < 0) fail(logPath);
    int disk = open(file, O_RDWR | O_CREAT | O_DSYNC | O_CLOEXEC, 0644);
    if (disk < 0) fail(file);

    int hasWritten = 0;
    note(logFile, "started %s %" PRIu64 "\n", identity, nowNanoseconds());
    for (;;) {
        char block[blockBytes] = {0}, other[128] = {0};
        uint64_t written = 0;
        if (pread(disk, block, sizeof block - 1, 0) < 0)
            note(logFile, "read-error %d %" PRIu64 "\n", errno, nowNanoseconds());
        else if (sscanf(block, "%127s %" SCNu64, other, &written) == 2 && strcmp(other, identity) != 0)
            note(logFile, "%s %s %" PRIu64 " %" PRIu64 "\n", hasWritten ? "foreign" : "inherited", other, written,
                 nowNanoseconds());

        memset(block, 0, sizeof block);
        snprintf(block, sizeof block, "%s %" PRIu64 "\n", identity, nowNanoseconds());
        if (pwrite(disk, block, sizeof block, 0) < 0)
            note(logFile, "write-error %d %" PRIu64 "\n", errno, nowNanoseconds());
        hasWritten = 1;

        struct timespec period = {periodMilliseconds / 1000, periodMilliseconds % 1000 * 1000000};
        nanosleep(&period, NULL);
    }
}

int claimDisk(const char *file, const char *identity, double seconds) {
    int disk = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (disk < 0) fail(file);
    char own[blockBytes] = {0}, seen[blockBytes];
    if (identity) snprintf(own, sizeof own, "%s %d\n", identity, getpid());
    uint64_t end = nowNanoseconds() + (uint64_t)(seconds * 1e9);
    printf("began %" PRIu64 "\n", nowNanoseconds());
    do {
        memset(seen, 0, sizeof seen);
        if (pread(disk, seen, sizeof seen, 0) < 0) fail(file);
        seen[sizeof seen - 1] = 0;
        if (*seen && strcmp(seen, own) != 0) {
            printf("foreign %" PRIu64 " %s\n", nowNanoseconds(), seen);
            return 3;
        }
        if (identity && pwrite(disk, own, sizeof own, 0) != sizeof own) fail(file);
        struct timespec period = {0, 500000};
        nanosleep(&period, NULL);
    } while (nowNanoseconds() < end);
    memset(seen, 0, sizeof seen);
    if (identity && pwrite(disk, seen, sizeof seen, 0) != sizeof seen) fail(file);
    printf("ended %" PRIu64 "\n", nowNanoseconds());
    return 0;
}

int printDirtyPages(const char *file) {
    // cachestat, man 2 cachestat: since Linux 6.5, and newer than the C library's headers.
    enum { cachestatNumber = 451 };
    const uint64_t whole[2] = {0, 0};
    struct { uint64_t cached, dirty, beingWritten, evicted, recentlyEvicted; } counts;
    int disk = open(file, O_RDONLY | O_CLOEXEC);
    if (disk < 0 || syscall(cachestatNumber, disk, whole, &counts, 0) != 0) fail(file);
    printf("%" PRIu64 "\n", counts.dirty + counts.beingWritten);
    return 0;
}
