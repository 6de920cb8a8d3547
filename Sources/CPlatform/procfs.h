// What /proc says of processes, read without memory allocation.
#ifndef LEASEHOLD_PROCFS_H
#define LEASEHOLD_PROCFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "keeper.h"

// Calls visit for each child of the calling process's main thread until it returns false.
// Returns how many were visited, or -1 with errno (a kernel without CONFIG_PROC_CHILDREN: ENOENT).
int for_each_child(bool (*visit)(pid_t child, void *context), void *context);

// The name that the kernel calls a process by (man 5 proc_pid_comm), with a newline, also of a zombie. False where there is no such process.
bool leasehold_name(pid_t pid, char *name, size_t size);

#endif
