// A file system that shows another directory, and stops doing so as the test says: reads and writes fail, wait or take
// long, for those alone who come through this mount. It speaks to /dev/fuse itself, so that it needs no library.
//
// A word a line on standard input sets what happens from now on:
//   ok           everything works; what was waiting is done now
//   hang         every request waits
//   hang-writes  writes wait
//   fail         reads and writes fail with EIO
//   delay N      reads and writes take N milliseconds
// At the end of the input it unmounts and ends.
#define _GNU_SOURCE
#include "faultfs.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// A request that waits, with all its bytes behind it.
struct Waiting {
    struct Waiting *next;
    uint64_t dueNanoseconds;
    size_t length;
    char bytes[];
};

static enum { working, hanging, hangingWrites, failing, delaying } mode = working;
static uint64_t delayNanoseconds;
static struct Waiting *waiting, **waitingEnd = &waiting;

static int touchesData(uint32_t opcode) {
    return opcode == FUSE_READ || opcode == FUSE_WRITE || opcode == FUSE_FSYNC;
}

// Whether a request waits for another mode. What the kernel doesn't wait for is never held up.
static int hangs(uint32_t opcode) {
    if (mode == hangingWrites) return opcode == FUSE_WRITE || opcode == FUSE_FSYNC;
    if (mode != hanging) return 0;
    switch (opcode) {
    case FUSE_INIT:
    case FUSE_DESTROY:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return 0;
    default: return 1;
    }
}

static void letWait(const struct fuse_in_header *request, size_t length, uint64_t due) {
    struct Waiting *entry = malloc(sizeof *entry + length);
    if (!entry) fail("malloc");
    *entry = (struct Waiting){.dueNanoseconds = due, .length = length};
    memcpy(entry->bytes, request, length);
    *waitingEnd = entry;
    waitingEnd = &entry->next;
}

static void receive(const struct fuse_in_header *request, size_t length) {
    if (hangs(request->opcode)) letWait(request, length, UINT64_MAX);
    else if (mode == delaying && touchesData(request->opcode))
        letWait(request, length, nowNanoseconds() + delayNanoseconds);
    else if (mode == failing && touchesData(request->opcode)) faultfsAnswer(request, -EIO, NULL, 0);
    else faultfsServe(request);
}

// Does what is due. What hung while the mode was another is received again, in its order.
static void serveWaiting(void) {
    struct Waiting *list = waiting;
    uint64_t now = nowNanoseconds();
    waiting = NULL;
    waitingEnd = &waiting;
    while (list) {
        struct Waiting *entry = list;
        list = entry->next;
        const struct fuse_in_header *request = (const void *)entry->bytes;
        if (hangs(request->opcode)) letWait(request, entry->length, UINT64_MAX);
        else if (entry->dueNanoseconds == UINT64_MAX) receive(request, entry->length);
        else if (entry->dueNanoseconds <= now || mode == working) faultfsServe(request);
        else letWait(request, entry->length, entry->dueNanoseconds);
        free(entry);
    }
}

static int nextDueMilliseconds(void) {
    uint64_t due = UINT64_MAX, now = nowNanoseconds();
    for (struct Waiting *entry = waiting; entry; entry = entry->next)
        if (entry->dueNanoseconds < due) due = entry->dueNanoseconds;
    if (due == UINT64_MAX) return -1;
    return due <= now ? 0 : (int)((due - now) / 1000000u) + 1;
}

// Returns 0 at the end of the input.
static int readMode(void) {
    static char line[64];
    static size_t used;
    ssize_t length = read(STDIN_FILENO, line + used, sizeof line - 1 - used);
    if (length <= 0) return 0;
    used += (size_t)length;
    line[used] = 0;
    for (char *end; (end = strchr(line, '\n'));) {
        *end = 0;
        if (strcmp(line, "ok") == 0) mode = working;
        else if (strcmp(line, "hang") == 0) mode = hanging;
        else if (strcmp(line, "hang-writes") == 0) mode = hangingWrites;
        else if (strcmp(line, "fail") == 0) mode = failing;
        else if (strncmp(line, "delay ", 6) == 0) {
            mode = delaying;
            delayNanoseconds = strtoull(line + 6, NULL, 10) * 1000000u;
        } else fail("no such mode");
        printf("%s\n", line);
        fflush(stdout);
        used -= (size_t)(end + 1 - line);
        memmove(line, end + 1, used + 1);
    }
    return 1;
}

int faultFileSystem(const char *source, const char *mountPoint) {
    int root = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail(source);
    int device = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) fail("/dev/fuse");
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device);
    if (mount("faultfs", mountPoint, "fuse", MS_NOSUID | MS_NODEV, options) != 0) fail(mountPoint);
    faultfsBegin(device, root);
    printf("mounted\n");
    fflush(stdout);

    static _Alignas(4096) char buffer[faultfsRequestBytes];
    for (;;) {
        struct pollfd entries[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = device, .events = POLLIN}};
        if (poll(entries, 2, nextDueMilliseconds()) < 0 && errno != EINTR) fail("poll");
        if (entries[0].revents && !readMode()) break;
        serveWaiting();
        ssize_t length = read(device, buffer, sizeof buffer);
        if (length >= (ssize_t)sizeof(struct fuse_in_header)) receive((const void *)buffer, (size_t)length);
        // ENOENT: the one who asked was interrupted. ENODEV: somebody has unmounted it.
        else if (length < 0 && errno != EAGAIN && errno != EINTR && errno != ENOENT) break;
    }
    umount2(mountPoint, MNT_DETACH);
    return 0;
}
