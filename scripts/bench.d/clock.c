// The guest of the benchmarks: says when it began to run.
//   clock FILE [SECONDS]           writes CLOCK_MONOTONIC in nanoseconds to FILE, then sleeps
//   clock … --pid-file PIDFILE …   as a container runtime is called by conmon: does the same in a child, with the names
//                                  from CLOCK_FILE and CLOCK_SECONDS
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void note(const char *path, const struct timespec *now)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%lld%09ld\n", (long long)now->tv_sec, now->tv_nsec);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, (size_t)size) != size)
		_exit(1);
	close(fd);
}

int main(int count, char **arguments)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (int index = 1; index + 1 < count; index++) {
		if (strcmp(arguments[index], "--pid-file") != 0)
			continue;
		pid_t child = fork();
		if (child == 0) {
			sleep((unsigned)atoi(getenv("CLOCK_SECONDS")));
			return 0;
		}
		FILE *file = fopen(arguments[index + 1], "w");
		fprintf(file, "%d", (int)child);
		fclose(file);
		note(getenv("CLOCK_FILE"), &now);
		return 0;
	}
	note(arguments[1], &now);
	if (count > 2)
		sleep((unsigned)atoi(arguments[2]));
	return 0;
}
