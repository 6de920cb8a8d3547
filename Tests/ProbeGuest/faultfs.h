// What the two halves of the faulty file system share: when a request is served, and how.
#ifndef FAULTFS_H
#define FAULTFS_H

#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /// The most data of one read or write.
    faultfsDataBytes = 128 << 10,
    /// The most bytes of one request.
    faultfsRequestBytes = faultfsDataBytes + 8192,
};

/// Before the first request: the descriptor of /dev/fuse, and the directory to show.
void faultfsBegin(int device, int root);

/// Does what is asked for, and answers.
void faultfsServe(const struct fuse_in_header *request);

/// Answers: `error` is 0 or a negative errno.
void faultfsAnswer(const struct fuse_in_header *request, int error, const void *data, size_t length);

#endif
