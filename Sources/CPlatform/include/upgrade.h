// How a supervisor becomes another program: what is handed over to it, and a try before.
#ifndef LEASEHOLD_UPGRADE_H
#define LEASEHOLD_UPGRADE_H

#include <stddef.h>
#include <sys/types.h>

// A file that is nothing but memory, closed by exec. Returns its descriptor, or -1 with errno.
int leasehold_memory_file(const char *name);

// What `ps` calls the process by from now on.
void leasehold_set_shown_name(const char *name);

// Executes a program in a child that has of this process's descriptors `kept` alone, under its number, and reads nothing on
// standard input. It is killed when the calling thread ends, and leaves no core file. Standard output and error come out at *output,
// which is close-on-exec and doesn't block. Where the program can't be executed, a NUL and the errno, a byte, come out there and
// the child exits with 127. The calling process may have threads. Returns the child's pid, or -1 with errno.
pid_t leasehold_try_program(const char *path, char *const *arguments, char *const *environment, int kept, int *output);

#endif
