// What a look at the host needs beyond Swift's view of the C library.
#ifndef LEASEHOLD_HOST_H
#define LEASEHOLD_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Forks a process that may hang without anybody noticing: it has none of the caller's descriptors but `kept`, /dev/null on
// its standard streams, and is killed when its parent ends. For a process of one thread. Returns as fork does.
pid_t leasehold_fork_alone(int kept);

// Ends the calling process at once, without running anything that was registered for its end.
_Noreturn void leasehold_end_at_once(int status);

// Makes the calling process another user's, for good: groups, group, user, and no capabilities unless that is root.
// Returns 0, or -1 with errno.
int leasehold_become(uid_t user, gid_t group, const gid_t *groups, int group_count);

// What statfs and stat say of the file system at a path.
struct leasehold_file_system {
	int64_t magic;
	bool is_read_only;
	uint64_t blocks;       // of any size; 0 where the file system doesn't count them
	uint64_t free_bytes;   // for those who aren't root
	uint64_t files;        // inodes; 0 where the file system doesn't count them
	uint64_t free_files;
	uint32_t device_major;
	uint32_t device_minor;
};

// Returns 0, or -1 with errno.
int leasehold_file_system_at(const char *path, struct leasehold_file_system *found);

// Whether the kernel's wall clock is being kept by something (man 2 adjtimex). Changes nothing. Returns 0, or -1 with errno.
int leasehold_clock_is_kept(bool *kept);

// O_TMPFILE, which the C library shows to GNU sources only.
extern const int leasehold_o_unnamed;

#endif
