// What the parts of the probe guest share.
#ifndef PROBE_H
#define PROBE_H

#include <stdint.h>
#include <stdnoreturn.h>

/// Prints everything that this process can see of its start, as one JSON object, to `file` or standard output.
int report(int argc, char **argv, const char *file);

/// Gives the signals back that the Swift runtime, linked into every program of the package, took before main.
void restoreDispositions(void);

/// Becomes a guest that is hard to kill: `modes` separated by commas, pids appended to `pidFile`.
int hostile(const char *modes, const char *pidFile, double lifetimeSeconds);

/// Sets what a caller hands down (signals, limits, terminal, …) and executes the command after `--`.
int launch(int argc, char **argv);

/// Writes `identity` to `file` for as long as it lives, and tells when it reads another's.
int writeDisk(const char *file, const char *identity, long periodMilliseconds);

/// Keeps `identity` in `file`, which has to be without any, for a while, and takes it out again. Without an identity it
/// only watches. Another's identity ends it with status 3.
int claimDisk(const char *file, const char *identity, double seconds);

/// Prints how many pages of a file the kernel has yet to write to storage.
int printDirtyPages(const char *file);

/// Writes to `disk` all the time, and serves a QMP monitor at `socketPath` that behaves as told.
int monitor(const char *behaviour, const char *socketPath, const char *disk, double lifetimeSeconds);

/// Mounts `source` at `mountPoint` too, with faults that standard input asks for (see faultfs.c).
int faultFileSystem(const char *source, const char *mountPoint);

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t nowNanoseconds(void);

/// This process's start time, field 22 of /proc/self/stat.
unsigned long long ownStartTime(void);

/// Has the kernel kill this process after `seconds`, also where it is stopped or blocks every signal.
void dieAfter(double seconds);

/// Ends with a message and status 2, which no other failure of the probe uses.
noreturn void fail(const char *what);

#endif
