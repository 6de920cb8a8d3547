#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static char *append_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	*at = 0;
	return at;
}

static char *append_number(char *at, long number)
{
	char digits[24];
	int count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = 0;
	return at;
}

static ssize_t read_whole(int fd, char *buffer, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, buffer + used, size - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

// One file of /proc/PID as text that ends in NUL. False where there is none, or nothing in it.
static bool read_process_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	int fd;
	ssize_t used;

	append_text(append_number(append_text(path, "/proc/"), pid), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	used = read_whole(fd, text, size - 1);
	close(fd);
	text[used > 0 ? used : 0] = 0;
	return used > 0;
}

bool leasehold_name(pid_t pid, char *name, size_t size)
{
	return read_process_file(pid, "/comm", name, size);
}

// The fields behind the command's name, which is in brackets and may hold anything.
static bool read_stat(pid_t pid, bool *is_alive, uint64_t *start_time)
{
	char text[1024];

	if (!read_process_file(pid, "/stat", text, sizeof text))
		return false;

	char *at = strrchr(text, ')');
	if (!at || !at[1] || !at[2])
		return false;
	at += 2;
	// Field 3 is the state, 20 the number of threads, 22 the start time. A process whose first thread has ended shows as a
	// zombie while others run on.
	char state = *at;
	bool has_threads = false;
	for (int field = 3; field < 22; field++) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
		if (field + 1 == 20)
			has_threads = at[0] > '1' || (at[0] == '1' && at[1] != ' ');
	}
	*is_alive = (state != 'Z' && state != 'X') || has_threads;
	uint64_t value = 0;
	while (*at >= '0' && *at <= '9')
		value = value * 10 + (uint64_t)(*at++ - '0');
	*start_time = value;
	return true;
}

uint64_t leasehold_start_time(pid_t pid)
{
	bool is_alive;
	uint64_t start_time;

	return read_stat(pid, &is_alive, &start_time) ? start_time : 0;
}

bool leasehold_is_alive(pid_t pid)
{
	bool is_alive;
	uint64_t start_time;

	return read_stat(pid, &is_alive, &start_time) && is_alive;
}

// A number behind a label of /proc/PID/status, to the base 16.
static uint64_t labelled(const char *text, const char *label)
{
	const char *at = strstr(text, label);
	uint64_t value = 0;

	if (!at)
		return 0;
	for (at += strlen(label); *at == ' ' || *at == '\t'; at++)
		;
	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			value = value * 16 + (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value * 16 + (uint64_t)(*at - 'a' + 10);
		else
			return value;
	}
}

bool leasehold_is_ending(pid_t pid)
{
	enum { EXITING = 4 };  // PF_EXITING, in field 9 of stat
	const uint64_t kill_bit = 1ull << (SIGKILL - 1);
	char text[8192];
	long flags = 0;

	if (!leasehold_is_alive(pid) || !read_process_file(pid, "/stat", text, sizeof text))
		return true;
	char *at = strrchr(text, ')');
	for (int field = 2; at && field < 9; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	while (at && *at >= '0' && *at <= '9')
		flags = flags * 10 + (*at++ - '0');
	if (flags & EXITING)
		return true;

	if (!read_process_file(pid, "/status", text, sizeof text))
		return true;
	return ((labelled(text, "SigPnd:") | labelled(text, "ShdPnd:")) & kill_bit) != 0;
}

int for_each_child(bool (*visit)(pid_t child, void *context), void *context)
{
	char path[64], text[4096];
	long number = 0;
	bool in_number = false;
	int fd, visited = 0;

	append_text(append_number(append_text(path, "/proc/self/task/"), getpid()), "/children");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t got = read(fd, text, sizeof text);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int saved = errno;

			close(fd);
			errno = saved;
			return -1;
		}
		if (got == 0)
			break;
		for (ssize_t index = 0; index < got; index++) {
			if (text[index] >= '0' && text[index] <= '9') {
				number = number * 10 + (text[index] - '0');
				in_number = true;
			} else if (in_number) {
				visited++;
				if (!visit((pid_t)number, context)) {
					close(fd);
					return visited;
				}
				number = 0;
				in_number = false;
			}
		}
	}
	close(fd);
	return visited;
}
