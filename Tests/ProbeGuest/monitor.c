// A guest that writes to its disk all the time, and whose QMP monitor misbehaves as it is told. Its disk is the witness: one record
// a write, with the time of each, appended and never overwritten.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { writePeriodMilliseconds = 20, longestLineBytes = 4096 };

static struct {
    const char *behaviour;
    long milliseconds;
    int disk, listener, client;
    bool isReady, isStuffing, isHung, isFlooding;
    // When the guest goes on by itself, 0 for not at all.
    uint64_t wakesAt;
    pthread_mutex_t writing;
    atomic_bool isRunning;
    char line[longestLineBytes];
    size_t lineBytes;
} guest = {.client = -1, .writing = PTHREAD_MUTEX_INITIALIZER};

static bool behaves(const char *behaviour) { return strcmp(guest.behaviour, behaviour) == 0; }

static void *writeForever(void *unused) {
    const long milliseconds = behaves("lies") ? guest.milliseconds : writePeriodMilliseconds;
    const struct timespec period = {0, milliseconds * 1000000};
    for (uint64_t count = 1;; count++) {
        while (!guest.isRunning) nanosleep(&period, NULL);
        pthread_mutex_lock(&guest.writing);
        const uint64_t record[] = {count, nowNanoseconds()};
        if (guest.isRunning && write(guest.disk, record, sizeof record) != sizeof record) fail("disk");
        pthread_mutex_unlock(&guest.writing);
        nanosleep(&period, NULL);
    }
    return unused;
}

/// Returns once no write is under way, where the guest is to stand.
static void setRunning(bool runs) {
    pthread_mutex_lock(&guest.writing);
    guest.isRunning = runs;
    pthread_mutex_unlock(&guest.writing);
}

static void hangUp(void) {
    if (guest.client >= 0) close(guest.client);
    guest.client = -1;
    guest.isReady = guest.isStuffing = guest.isFlooding = false;
    guest.lineBytes = 0;
}

static void say(const char *text) {
    for (size_t length = strlen(text); length > 0 && guest.client >= 0;) {
        ssize_t sent = send(guest.client, text, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return hangUp();
        text += sent;
        length -= (size_t)sent;
    }
}

static void sayEvent(const char *name) {
    char text[200];
    snprintf(text, sizeof text, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"%s\"}\r\n", name);
    if (guest.isReady) say(text);
}

static void stuff(void) {
    static char filling[4096];
    memset(filling, 'x', sizeof filling - 1);
    say(filling);
}

static void reply(long identity, const char *kind, const char *content) {
    char text[400];
    snprintf(text, sizeof text, "{\"%s\": %s, \"id\": %ld}\r\n", kind, content, identity);
    say(text);
}

static void stop(long identity) {
    bool ran = guest.isRunning;
    if (!behaves("lies") && !behaves("ignores-stop") && !behaves("hangs")) setRunning(false);
    if (ran) sayEvent("STOP");
    guest.isHung = behaves("hangs");
    if (guest.isHung) return;
    if (behaves("goes-on") || behaves("goes-on-silently") || behaves("sleeps"))
        guest.wakesAt = nowNanoseconds() + (uint64_t)guest.milliseconds * 1000000u;
    reply(identity, "return", "{}");
    guest.isFlooding = behaves("drowns");
}

static void queryStatus(long identity) {
    bool runs = guest.isRunning;
    const char *word = runs ? "running" : "paused";
    if (behaves("lies")) runs = false, word = "paused";
    if (behaves("sleeps") && !runs) word = "suspended";
    char content[100];
    snprintf(content, sizeof content, "{\"status\": \"%s\", \"singlestep\": false, \"running\": %s}", word,
             runs ? "true" : "false");
    reply(identity, "return", content);
}

static void obey(const char *command, long identity) {
    const bool isGreeting = strcmp(command, "qmp_capabilities") == 0;
    // To standard output, which is no storage: this guest writes to its disk and nowhere else.
    printf("command %s\n", command);

    if (guest.isHung || behaves("silent") || ((behaves("deaf") || behaves("stuffs")) && !isGreeting)) return;
    if (behaves("slow")) usleep((useconds_t)guest.milliseconds * 1000);
    if (behaves("refuses") && !isGreeting)
        return reply(identity, "error", "{\"class\": \"GenericError\", \"desc\": \"not\\u001b[2J today\"}");
    if (behaves("wrong-ids") && !isGreeting) return reply(identity + 1, "return", "{}");
    if (behaves("garbage") && !isGreeting) return say("\x1b[31m\xff\xfe\"]]]]}} stopped\r\n");

    if (isGreeting) {
        reply(identity, "return", "{}");
        guest.isReady = true;
        guest.isStuffing = behaves("stuffs");
    } else if (strcmp(command, "stop") == 0) {
        stop(identity);
    } else if (strcmp(command, "cont") == 0) {
        if (behaves("refuses-cont"))
            return reply(identity, "error", "{\"class\": \"GenericError\", \"desc\": \"the disk is gone\"}");
        reply(identity, "return", "{}");
        if (!guest.isRunning) sayEvent("RESUME");
        setRunning(true);
    } else if (strcmp(command, "query-status") == 0) {
        queryStatus(identity);
    } else if (strcmp(command, "query-jobs") == 0) {
        reply(identity, "return", "[]");
    } else if (strcmp(command, "getfd") == 0 || strcmp(command, "closefd") == 0) {
        reply(identity, "return", "{}");
    } else if (strcmp(command, "quit") == 0 || strcmp(command, "system_powerdown") == 0) {
        reply(identity, "return", "{}");
        exit(0);
    } else {
        reply(identity, "error", "{\"class\": \"CommandNotFound\", \"desc\": \"unknown\"}");
    }
    if (behaves("closes-each")) hangUp();
}

static void takeLine(char *line) {
    char name[100] = "";
    const char *command = strstr(line, "\"execute\":\""), *number = strstr(line, "\"id\":");
    if (command) sscanf(command + strlen("\"execute\":\""), "%99[a-z_-]", name);
    obey(name, number ? atol(number + strlen("\"id\":")) : 0);
}

static void hear(void) {
    // Descriptors that come along stay open, as QEMU would keep them.
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec room = {guest.line + guest.lineBytes, sizeof guest.line - 1 - guest.lineBytes};
    struct msghdr message = {
        .msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(guest.client, &message, MSG_CMSG_CLOEXEC);
    if (length < 0 && errno == EINTR) return;
    if (length <= 0) return hangUp();
    guest.lineBytes += (size_t)length;
    guest.line[guest.lineBytes] = 0;
    for (char *end; guest.client >= 0 && (end = strchr(guest.line, '\n'));) {
        char line[longestLineBytes];
        *end = 0;
        memcpy(line, guest.line, (size_t)(end + 1 - guest.line));
        guest.lineBytes -= (size_t)(end + 1 - guest.line);
        memmove(guest.line, end + 1, guest.lineBytes + 1);
        takeLine(line);
    }
}

static void greet(void) {
    guest.client = accept4(guest.listener, NULL, NULL, SOCK_CLOEXEC);
    if (behaves("closes-at-once")) return hangUp();
    if (behaves("never-greets")) return;
    say("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, "
        "\"capabilities\": [\"oob\"]}}\r\n");
}

static void goOn(void) {
    guest.wakesAt = 0;
    setRunning(true);
    if (behaves("goes-on")) sayEvent("RESUME");
    if (behaves("sleeps")) sayEvent("WAKEUP");
}

static void openSocket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) errno = ENAMETOOLONG, fail(path);
    strcpy(address.sun_path, path);
    guest.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (guest.listener < 0 || bind(guest.listener, (struct sockaddr *)&address, sizeof address) != 0
        || listen(guest.listener, 10) != 0)
        fail(path);
}

int monitor(const char *behaviour, const char *socketPath, const char *disk, double lifetimeSeconds) {
    static char name[100];
    snprintf(name, sizeof name, "%s", behaviour);
    char *value = strchr(name, '=');
    if (value) *value++ = 0, guest.milliseconds = atol(value);
    guest.behaviour = name;
    dieAfter(lifetimeSeconds);
    guest.disk = open(disk, O_WRONLY | O_APPEND | O_TRUNC | O_DSYNC | O_CLOEXEC);
    if (guest.disk < 0) fail(disk);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!behaves("absent")) openSocket(socketPath);

    guest.isRunning = true;
    pthread_t writer;
    errno = pthread_create(&writer, NULL, writeForever, NULL);
    if (errno != 0) fail("thread");
    for (;;) {
        // One client at a time, as with QEMU.
        struct pollfd wait = {behaves("absent") ? -1 : guest.client < 0 ? guest.listener : guest.client, POLLIN, 0};
        // Enough to fill every buffer, and not all of a processor's time.
        bool isBusy =
            guest.client >= 0 && (guest.isStuffing || guest.isFlooding || (behaves("floods") && guest.isReady));
        int ready = poll(&wait, 1, isBusy ? 1 : 5);
        if (guest.wakesAt && nowNanoseconds() >= guest.wakesAt) goOn();
        if (ready > 0 && guest.client < 0) greet();
        else if (ready > 0 && !guest.isFlooding) hear();
        else if (isBusy && guest.isStuffing) stuff();
        for (int count = 0; isBusy && !guest.isStuffing && count < 20; count++)
            sayEvent(!guest.isFlooding ? "RTC_CHANGE" : count % 2 ? "STOP" : "RESUME");
    }
}
