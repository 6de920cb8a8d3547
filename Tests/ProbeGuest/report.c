// Everything that a process can see of its start. Nothing is opened before the descriptors have been looked at.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

enum { descriptorLimit = 1024 };

extern char **environ;
static FILE *out;
static bool needsComma;

static bool isUTF8(const unsigned char *text) {
    while (*text) {
        int more = *text < 0x80 ? 0 : *text >= 0xc2 && *text < 0xe0 ? 1 : *text >= 0xe0 && *text < 0xf0 ? 2
                   : *text >= 0xf0 && *text < 0xf5 ? 3 : -1;
        if (more < 0) return false;
        unsigned char lead = *text++, next = *text;
        // Overlong forms and surrogates, which a JSON parser refuses.
        if (lead == 0xe0 && next < 0xa0) return false;
        if (lead == 0xed && next > 0x9f) return false;
        if (lead == 0xf0 && next < 0x90) return false;
        if (lead == 0xf4 && next > 0x8f) return false;
        while (more-- > 0)
            if ((*text++ & 0xc0) != 0x80) return false;
    }
    return true;
}

// Bytes that are no UTF-8 are written as if they were Latin 1, since JSON can't carry them.
static void string(const char *text) {
    bool plain = isUTF8((const unsigned char *)text);
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f || (*c >= 0x80 && !plain)) fprintf(out, "\\u%04x", *c);
        else fputc(*c, out);
    }
    fputc('"', out);
}

static void separate(void) {
    if (needsComma) fputc(',', out);
    needsComma = true;
}

static void key(const char *name) {
    separate();
    fputc('\n', out);
    string(name);
    fputc(':', out);
}

static void begin(const char *name, char bracket) {
    key(name);
    fputc(bracket, out);
    needsComma = false;
}

static void end(char bracket) {
    fputc(bracket, out);
    needsComma = true;
}

static void number(const char *name, long long value) {
    key(name);
    fprintf(out, "%lld", value);
}

static void text(const char *name, const char *value) {
    key(name);
    if (value) string(value);
    else fputs("null", out);
}

static void strings(const char *name, char **list) {
    begin(name, '[');
    for (; *list; list++) separate(), string(*list);
    end(']');
}

static int byValue(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void environment(void) {
    size_t count = 0;
    while (environ[count]) count++;
    char **sorted = calloc(count + 1, sizeof *sorted);
    memcpy(sorted, environ, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, byValue);
    strings("environ", sorted);
    free(sorted);
}

struct descriptor {
    int number, status, flags;
    mode_t mode;
    long long offset;
    char target[PATH_MAX];
};

static struct descriptor *descriptors;
static int descriptorCount;

static void findDescriptors(void) {
    descriptors = calloc(descriptorLimit, sizeof *descriptors);
    for (int candidate = 0; candidate < descriptorLimit; candidate++) {
        int flags = fcntl(candidate, F_GETFD);
        if (flags < 0) continue;
        struct descriptor *found = &descriptors[descriptorCount++];
        char path[64];
        struct stat status;
        found->number = candidate;
        found->flags = flags;
        found->status = fcntl(candidate, F_GETFL);
        found->offset = lseek(candidate, 0, SEEK_CUR);
        found->mode = fstat(candidate, &status) == 0 ? status.st_mode : 0;
        snprintf(path, sizeof path, "/proc/self/fd/%d", candidate);
        ssize_t length = readlink(path, found->target, sizeof found->target - 1);
        found->target[length < 0 ? 0 : length] = 0;
    }
}

static const char *kind(mode_t mode) {
    return S_ISREG(mode) ? "file" : S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : S_ISCHR(mode) ? "character"
           : S_ISBLK(mode) ? "block" : S_ISDIR(mode) ? "directory" : "other";
}

static void openDescriptors(void) {
    begin("descriptors", '{');
    for (int index = 0; index < descriptorCount; index++) {
        struct descriptor *found = &descriptors[index];
        char name[16];
        snprintf(name, sizeof name, "%d", found->number);
        begin(name, '{');
        text("target", found->target);
        text("kind", kind(found->mode));
        number("flags", found->status);
        number("closeOnExec", (found->flags & FD_CLOEXEC) != 0);
        number("offset", found->offset);
        end('}');
    }
    end('}');
}

static void terminals(void) {
    begin("terminals", '{');
    for (int descriptor = 0; descriptor < 3; descriptor++) {
        char name[4], tty[128];
        snprintf(name, sizeof name, "%d", descriptor);
        if (!isatty(descriptor)) {
            text(name, NULL);
            continue;
        }
        pid_t foreground = tcgetpgrp(descriptor);
        begin(name, '{');
        text("name", ttyname_r(descriptor, tty, sizeof tty) == 0 ? tty : "?");
        number("foregroundGroup", foreground);
        number("session", tcgetsid(descriptor));
        text("foreground", foreground < 0              ? "not our terminal"
                           : foreground == getpgrp() ? "own group"
                                                     : "another group");
        end('}');
    }
    end('}');
}

static void limits(void) {
    static const struct { const char *name; int resource; } all[] = {
        {"cpu", RLIMIT_CPU}, {"fsize", RLIMIT_FSIZE}, {"data", RLIMIT_DATA}, {"stack", RLIMIT_STACK},
        {"core", RLIMIT_CORE}, {"rss", RLIMIT_RSS}, {"nproc", RLIMIT_NPROC}, {"nofile", RLIMIT_NOFILE},
        {"memlock", RLIMIT_MEMLOCK}, {"as", RLIMIT_AS}, {"locks", RLIMIT_LOCKS}, {"sigpending", RLIMIT_SIGPENDING},
        {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE}, {"rtprio", RLIMIT_RTPRIO}, {"rttime", RLIMIT_RTTIME},
    };
    begin("limits", '{');
    for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
        struct rlimit limit;
        if (getrlimit(all[index].resource, &limit) != 0) continue;
        begin(all[index].name, '[');
        // -1 is no limit.
        separate(), fprintf(out, "%lld", (long long)limit.rlim_cur);
        separate(), fprintf(out, "%lld", (long long)limit.rlim_max);
        end(']');
    }
    end('}');
}

static void scheduling(void) {
    struct sched_param parameters = {0};
    int slackNanoseconds = prctl(PR_GET_TIMERSLACK);
    errno = 0;
    number("nice", getpriority(PRIO_PROCESS, 0));
    number("schedulingPolicy", sched_getscheduler(0));
    sched_getparam(0, &parameters);
    number("schedulingPriority", parameters.sched_priority);
    number("ioPriority", syscall(SYS_ioprio_get, 1, 0));
    number("timerSlackNanoseconds", slackNanoseconds);

    cpu_set_t processors;
    CPU_ZERO(&processors);
    sched_getaffinity(0, sizeof processors, &processors);
    begin("processors", '[');
    for (int index = 0; index < CPU_SETSIZE; index++)
        if (CPU_ISSET(index, &processors)) separate(), fprintf(out, "%d", index);
    end(']');
}

static void oneFile(const char *name, const char *path) {
    char content[4096];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, content, sizeof content - 1);
    if (file >= 0) close(file);
    if (length < 0) {
        text(name, NULL);
        return;
    }
    content[length] = 0;
    while (length > 0 && content[length - 1] == '\n') content[--length] = 0;
    text(name, content);
}

// The kernel's own masks, since the C library hides signals 32 and 33.
static void signalList(const char *name, const char *hexadecimal) {
    unsigned long long mask = strtoull(hexadecimal, NULL, 16);
    begin(name, '[');
    for (int index = 0; index < 64; index++)
        if (mask >> index & 1) separate(), fprintf(out, "%d", index + 1);
    end(']');
}

static bool wasIgnored[65];

// SwiftPM links the Swift runtime into every program, C or not, and that one takes signals over before main. So the
// dispositions are read before it is set up, and what it took is given back: a guest has to crash as guests do.
// The kernel's own call and layout, since the C library hides signals 32 and 33.
struct disposition {
    void (*handler)(int);
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

static void lookAtDispositions(int argc, char **argv, char **environment) {
    (void)argc, (void)argv, (void)environment;
    for (int index = 1; index <= 64; index++) {
        struct disposition found = {0};
        syscall(SYS_rt_sigaction, index, NULL, &found, 8);
        wasIgnored[index] = found.handler == SIG_IGN;
    }
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = lookAtDispositions;

void restoreDispositions(void) {
    for (int index = 1; index <= 64; index++) {
        if (index == SIGKILL || index == SIGSTOP) continue;
        struct disposition plain = {.handler = wasIgnored[index] ? SIG_IGN : SIG_DFL};
        syscall(SYS_rt_sigaction, index, &plain, NULL, 8);
    }
}

static void ignoredSignals(void) {
    begin("ignoredSignals", '[');
    for (int index = 1; index <= 64; index++)
        if (wasIgnored[index]) separate(), fprintf(out, "%d", index);
    end(']');
}

static void status(void) {
    static const struct { const char *field, *name; bool isSignals; } wanted[] = {
        {"SigBlk:", "blockedSignals", true},     {"SigPnd:", "pendingSignals", true},
        {"ShdPnd:", "pendingProcessSignals", true}, {"CapInh:", "capInheritable", false},
        {"CapPrm:", "capPermitted", false},      {"CapEff:", "capEffective", false},
        {"CapBnd:", "capBounding", false},       {"CapAmb:", "capAmbient", false},
        {"NoNewPrivs:", "noNewPrivs", false},    {"Seccomp:", "seccomp", false},
        {"THP_enabled:", "hugePages", false},    {"Mems_allowed_list:", "memoryNodes", false},
        {"VmLck:", "lockedMemory", false},
    };
    char line[1024];
    FILE *file = fopen("/proc/self/status", "re");
    if (!file) fail("/proc/self/status");
    while (fgets(line, sizeof line, file)) {
        for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++) {
            size_t length = strlen(wanted[index].field);
            if (strncmp(line, wanted[index].field, length) != 0) continue;
            char *value = line + length + strspn(line + length, " \t");
            value[strcspn(value, "\n")] = 0;
            if (wanted[index].isSignals) signalList(wanted[index].name, value);
            else text(wanted[index].name, value);
        }
    }
    fclose(file);
}

static void identity(void) {
    uid_t user[3];
    gid_t group[3], groups[NGROUPS_MAX];
    getresuid(&user[0], &user[1], &user[2]);
    getresgid(&group[0], &group[1], &group[2]);
    begin("user", '[');
    for (int index = 0; index < 3; index++) separate(), fprintf(out, "%u", user[index]);
    end(']');
    begin("group", '[');
    for (int index = 0; index < 3; index++) separate(), fprintf(out, "%u", group[index]);
    end(']');
    int count = getgroups(NGROUPS_MAX, groups);
    begin("groups", '[');
    for (int index = 0; index < count; index++) separate(), fprintf(out, "%u", groups[index]);
    end(']');
}

static void namespaces(void) {
    static const char *const all[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    begin("namespaces", '{');
    for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", all[index]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        text(all[index], target);
    }
    end('}');
}

static void processRelations(void) {
    char path[64];
    number("pid", getpid());
    number("parent", getppid());
    snprintf(path, sizeof path, "/proc/%d/comm", getppid());
    oneFile("parentName", path);
    number("processGroup", getpgrp());
    number("session", getsid(0));
    number("startTime", (long long)ownStartTime());
}

static void attributes(void) {
    int signalOfParent = 0, isReaper = 0;
    prctl(PR_GET_PDEATHSIG, &signalOfParent);
    prctl(PR_GET_CHILD_SUBREAPER, &isReaper);
    number("parentDeathSignal", signalOfParent);
    number("childSubreaper", isReaper);
    number("dumpable", prctl(PR_GET_DUMPABLE));
    number("keepCapabilities", prctl(PR_GET_KEEPCAPS));
    number("secureBits", prctl(PR_GET_SECUREBITS));
    number("personality", personality(0xffffffff));
    number("secureExecution", (long long)getauxval(AT_SECURE));
    text("executedAs", (const char *)getauxval(AT_EXECFN));
    number("alarmSeconds", alarm(0));
}

int report(int argc, char **argv, const char *file) {
    findDescriptors();
    mode_t mask = umask(0);
    umask(mask);

    // Into memory first: the output, too, is one of the things that are looked at.
    char *content = NULL, *directory = getcwd(NULL, 0), root[PATH_MAX];
    size_t length = 0;
    out = open_memstream(&content, &length);
    if (!out) fail("memory");
    fputc('{', out);
    number("argumentCount", argc);
    strings("arguments", argv);
    environment();
    strings("environInOrder", environ);
    text("directory", directory);
    ssize_t rootLength = readlink("/proc/self/root", root, sizeof root - 1);
    root[rootLength < 0 ? 0 : rootLength] = 0;
    text("root", root);
    oneFile("name", "/proc/self/comm");
    number("umask", mask);
    limits();
    scheduling();
    oneFile("outOfMemoryScoreAdjustment", "/proc/self/oom_score_adj");
    oneFile("coreDumpFilter", "/proc/self/coredump_filter");
    oneFile("controlGroup", "/proc/self/cgroup");
    oneFile("loginUser", "/proc/self/loginuid");
    status();
    ignoredSignals();
    identity();
    namespaces();
    processRelations();
    attributes();
    terminals();
    openDescriptors();
    fputs("\n}\n", out);
    fclose(out);

    int target = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : STDOUT_FILENO;
    if (target < 0) fail(file);
    for (size_t done = 0; done < length;) {
        ssize_t written = write(target, content + done, length - done);
        if (written < 0 && errno != EINTR) fail("write");
        if (written > 0) done += (size_t)written;
    }
    return 0;
}
