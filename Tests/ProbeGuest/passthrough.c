// The faulty file system where it is well: every request is done on the directory behind it.
#define _GNU_SOURCE
#include "faultfs.h"
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

// A file that the kernel knows, by a descriptor that only names it. Its number for the kernel is its index.
struct Node {
    int fd;
    dev_t device;
    ino_t inode;
    uint64_t lookups;
};

static struct Node *nodes;
static size_t nodeCount;
static int fuseDevice = -1;

static int descriptor(uint64_t node) { return node < nodeCount ? nodes[node].fd : -1; }

// The file itself, also where no name leads to it any more.
static const char *pathOf(uint64_t node) {
    static char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor(node));
    return path;
}

void faultfsBegin(int device, int root) {
    fuseDevice = device;
    nodeCount = FUSE_ROOT_ID + 1;
    nodes = calloc(nodeCount, sizeof *nodes);
    if (!nodes) fail("calloc");
    nodes[0].fd = -1;
    nodes[FUSE_ROOT_ID] = (struct Node){.fd = root, .lookups = 1};
}

void faultfsAnswer(const struct fuse_in_header *request, int error, const void *data, size_t length) {
    if (error) length = 0;
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof header + length), .error = error, .unique = request->unique};
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)data, length}};
    // ENOENT: the one who asked has gone.
    if (writev(fuseDevice, parts, length ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV)
        fprintf(stderr, "ProbeGuest: answer to request %u: %s\n", request->opcode, strerror(errno));
}

static void answerResult(const struct fuse_in_header *request, int result) {
    faultfsAnswer(request, result < 0 ? -errno : 0, NULL, 0);
}

static struct fuse_attr attributesOf(const struct stat *st) {
    return (struct fuse_attr){
        .ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec, .mtime = (uint64_t)st->st_mtim.tv_sec,
        .ctime = (uint64_t)st->st_ctim.tv_sec, .atimensec = (uint32_t)st->st_atim.tv_nsec,
        .mtimensec = (uint32_t)st->st_mtim.tv_nsec, .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
        .mode = st->st_mode, .nlink = (uint32_t)st->st_nlink, .uid = st->st_uid, .gid = st->st_gid,
        .blksize = (uint32_t)st->st_blksize};
}

// Fills the entry of a name, and remembers the file. 0, or a negative errno.
static int look(uint64_t parent, const char *name, struct fuse_entry_out *entry) {
    struct stat st;
    int fd = openat(descriptor(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -errno;
    if (fstat(fd, &st) != 0) return close(fd), -errno;
    size_t node = 0, unused = 0;
    for (size_t index = FUSE_ROOT_ID + 1; index < nodeCount && !node; index++) {
        if (nodes[index].lookups == 0) unused = index;
        else if (nodes[index].inode == st.st_ino && nodes[index].device == st.st_dev) node = index;
    }
    if (node) {
        close(fd);
    } else {
        if (!unused) {
            unused = nodeCount++;
            nodes = realloc(nodes, nodeCount * sizeof *nodes);
            if (!nodes) fail("realloc");
        }
        node = unused;
        nodes[node] = (struct Node){.fd = fd, .device = st.st_dev, .inode = st.st_ino};
    }
    nodes[node].lookups++;
    *entry = (struct fuse_entry_out){.nodeid = node, .attr = attributesOf(&st)};
    return 0;
}

static void forget(uint64_t node, uint64_t lookups) {
    if (node <= FUSE_ROOT_ID || node >= nodeCount || nodes[node].lookups == 0) return;
    nodes[node].lookups -= lookups < nodes[node].lookups ? lookups : nodes[node].lookups;
    if (nodes[node].lookups == 0) close(nodes[node].fd);
}

static void answerEntry(const struct fuse_in_header *request, int result, const char *name) {
    struct fuse_entry_out entry;
    int error = result < 0 ? -errno : look(request->nodeid, name, &entry);
    faultfsAnswer(request, error, &entry, sizeof entry);
}

static void answerAttributes(const struct fuse_in_header *request) {
    struct fuse_attr_out out = {0};
    struct stat st;
    int error = fstat(descriptor(request->nodeid), &st) != 0 ? -errno : 0;
    if (!error) out.attr = attributesOf(&st);
    faultfsAnswer(request, error, &out, sizeof out);
}

static void setAttributes(const struct fuse_in_header *request, const struct fuse_setattr_in *in) {
    const char *path = pathOf(request->nodeid);
    int result = 0;
    if (in->valid & FATTR_SIZE) result = truncate(path, (off_t)in->size);
    if (!result && in->valid & FATTR_MODE) result = chmod(path, in->mode);
    if (!result && in->valid & (FATTR_UID | FATTR_GID))
        result = chown(path, in->valid & FATTR_UID ? in->uid : (uid_t)-1, in->valid & FATTR_GID ? in->gid : (gid_t)-1);
    if (!result && in->valid & (FATTR_ATIME | FATTR_MTIME)) {
        struct timespec times[2] = {{(time_t)in->atime, in->atimensec}, {(time_t)in->mtime, in->mtimensec}};
        if (!(in->valid & FATTR_ATIME)) times[0].tv_nsec = UTIME_OMIT;
        else if (in->valid & FATTR_ATIME_NOW) times[0].tv_nsec = UTIME_NOW;
        if (!(in->valid & FATTR_MTIME)) times[1].tv_nsec = UTIME_OMIT;
        else if (in->valid & FATTR_MTIME_NOW) times[1].tv_nsec = UTIME_NOW;
        result = utimensat(AT_FDCWD, path, times, 0);
    }
    if (result < 0) return answerResult(request, result);
    answerAttributes(request);
}

static void answerOpen(const struct fuse_in_header *request, int fd, struct fuse_entry_out *entry) {
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {.open = {.fh = (uint64_t)fd, .open_flags = FOPEN_DIRECT_IO}};
    if (entry) out.entry = *entry;
    if (entry) faultfsAnswer(request, 0, &out, sizeof out);
    else faultfsAnswer(request, fd < 0 ? -errno : 0, &out.open, sizeof out.open);
}

static void create(const struct fuse_in_header *request, const struct fuse_create_in *in) {
    const char *name = (const char *)(in + 1);
    struct fuse_entry_out entry;
    int flags = (int)in->flags | O_CREAT | O_CLOEXEC;
    int fd = openat(descriptor(request->nodeid), name, flags, in->mode & 07777 & ~in->umask);
    if (fd < 0) return answerResult(request, -1);
    if (fchown(fd, request->uid, request->gid) != 0) errno = 0;
    int error = look(request->nodeid, name, &entry);
    if (error) {
        close(fd);
        return faultfsAnswer(request, error, NULL, 0);
    }
    answerOpen(request, fd, &entry);
}

// Through an aligned buffer: the descriptor has O_DIRECT where the one who opened it asked for that. (Without, a page
// of ours could overwrite what another host had written beside it.)
static _Alignas(4096) char data[faultfsDataBytes];

static void answerRead(const struct fuse_in_header *request, const struct fuse_read_in *in) {
    size_t length = in->size < sizeof data ? in->size : sizeof data;
    ssize_t done = pread((int)in->fh, data, length, (off_t)in->offset);
    faultfsAnswer(request, done < 0 ? -errno : 0, data, done < 0 ? 0 : (size_t)done);
}

static void answerWrite(const struct fuse_in_header *request, const struct fuse_write_in *in) {
    struct fuse_write_out out = {0};
    if (in->size > sizeof data) return faultfsAnswer(request, -EINVAL, NULL, 0);
    memcpy(data, in + 1, in->size);
    ssize_t done = pwrite((int)in->fh, data, in->size, (off_t)in->offset);
    if (done >= 0) out.size = (uint32_t)done;
    faultfsAnswer(request, done < 0 ? -errno : 0, &out, sizeof out);
}

static void openDirectory(const struct fuse_in_header *request) {
    struct fuse_open_out out = {0};
    int fd = open(pathOf(request->nodeid), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    out.fh = (uint64_t)(uintptr_t)directory;
    faultfsAnswer(request, directory ? 0 : -errno, &out, sizeof out);
}

static void readDirectory(const struct fuse_in_header *request, const struct fuse_read_in *in) {
    DIR *directory = (DIR *)(uintptr_t)in->fh;
    size_t used = 0, room = in->size < sizeof data ? in->size : sizeof data;
    seekdir(directory, (long)in->offset);
    for (struct dirent *found; (found = readdir(directory));) {
        size_t length = strlen(found->d_name), whole = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
        if (used + whole > room) break;
        struct fuse_dirent *entry = (struct fuse_dirent *)(data + used);
        memset(entry, 0, whole);
        entry->ino = found->d_ino;
        entry->off = (uint64_t)telldir(directory);
        entry->namelen = (uint32_t)length;
        entry->type = found->d_type;
        memcpy(entry->name, found->d_name, length);
        used += whole;
    }
    faultfsAnswer(request, 0, data, used);
}

static void rename2(const struct fuse_in_header *request, uint64_t to, unsigned flags, const char *names) {
    const char *newName = names + strlen(names) + 1;
    answerResult(request, renameat2(descriptor(request->nodeid), names, descriptor(to), newName, flags));
}

static void answerSpace(const struct fuse_in_header *request) {
    struct fuse_statfs_out out = {0};
    struct statvfs st;
    int error = statvfs(pathOf(request->nodeid), &st) != 0 ? -errno : 0;
    if (!error)
        out.st = (struct fuse_kstatfs){
            .blocks = st.f_blocks, .bfree = st.f_bfree, .bavail = st.f_bavail, .files = st.f_files,
            .ffree = st.f_ffree, .bsize = (uint32_t)st.f_bsize, .frsize = (uint32_t)st.f_frsize,
            .namelen = (uint32_t)st.f_namemax};
    faultfsAnswer(request, error, &out, sizeof out);
}

static void begin(const struct fuse_in_header *request, const struct fuse_init_in *in) {
    uint32_t wanted = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS;
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_readahead = in->max_readahead,
        .flags = in->flags & wanted, .max_background = 64, .congestion_threshold = 48,
        .max_write = faultfsDataBytes, .time_gran = 1};
    faultfsAnswer(request, 0, &out, sizeof out);
}

static void forgetAll(const struct fuse_batch_forget_in *in) {
    const struct fuse_forget_one *list = (const void *)(in + 1);
    for (uint32_t index = 0; index < in->count; index++) forget(list[index].nodeid, list[index].nlookup);
}

void faultfsServe(const struct fuse_in_header *request) {
    const void *in = request + 1;
    int directory = descriptor(request->nodeid);
    switch (request->opcode) {
    case FUSE_INIT: return begin(request, in);
    case FUSE_LOOKUP: return answerEntry(request, 0, in);
    case FUSE_FORGET: return forget(request->nodeid, ((const struct fuse_forget_in *)in)->nlookup);
    case FUSE_BATCH_FORGET: return forgetAll(in);
    case FUSE_GETATTR: return answerAttributes(request);
    case FUSE_SETATTR: return setAttributes(request, in);
    case FUSE_OPEN:
        return answerOpen(
            request, open(pathOf(request->nodeid), (int)((const struct fuse_open_in *)in)->flags & ~O_NOFOLLOW), NULL);
    case FUSE_CREATE: return create(request, in);
    case FUSE_READ: return answerRead(request, in);
    case FUSE_WRITE: return answerWrite(request, in);
    case FUSE_FSYNC: return answerResult(request, fsync((int)((const struct fuse_fsync_in *)in)->fh));
    case FUSE_RELEASE: return answerResult(request, close((int)((const struct fuse_release_in *)in)->fh));
    case FUSE_OPENDIR: return openDirectory(request);
    case FUSE_READDIR: return readDirectory(request, in);
    case FUSE_RELEASEDIR:
        return answerResult(request, closedir((DIR *)(uintptr_t)((const struct fuse_release_in *)in)->fh));
    case FUSE_UNLINK: return answerResult(request, unlinkat(directory, in, 0));
    case FUSE_RMDIR: return answerResult(request, unlinkat(directory, in, AT_REMOVEDIR));
    case FUSE_MKDIR: {
        const struct fuse_mkdir_in *wanted = in;
        const char *name = (const char *)(wanted + 1);
        return answerEntry(request, mkdirat(directory, name, wanted->mode & 07777 & ~wanted->umask), name);
    }
    case FUSE_LINK: {
        const struct fuse_link_in *wanted = in;
        const char *name = (const char *)(wanted + 1);
        int result = linkat(AT_FDCWD, pathOf(wanted->oldnodeid), directory, name, AT_SYMLINK_FOLLOW);
        return answerEntry(request, result, name);
    }
    case FUSE_RENAME: {
        const struct fuse_rename_in *wanted = in;
        return rename2(request, wanted->newdir, 0, (const char *)(wanted + 1));
    }
    case FUSE_RENAME2: {
        const struct fuse_rename2_in *wanted = in;
        return rename2(request, wanted->newdir, wanted->flags, (const char *)(wanted + 1));
    }
    case FUSE_STATFS: return answerSpace(request);
    case FUSE_INTERRUPT: return;
    case FUSE_DESTROY: return;
    default: return faultfsAnswer(request, -ENOSYS, NULL, 0);
    }
}
