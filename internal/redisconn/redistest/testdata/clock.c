/* Loaded into a redis-server before libc (ld.so(8), LD_PRELOAD), these put the clock of
   the day ahead by what the file REDISTEST_CLOCK holds: microseconds, as eight bytes. The
   monotonic clock stays as it is. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *ahead;

__attribute__((constructor)) static void find(void) {
	const char *name = getenv("REDISTEST_CLOCK");
	int file = name ? open(name, O_RDONLY) : -1;
	void *at = file < 0 ? MAP_FAILED : mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
	if (at == MAP_FAILED)
		_exit(99);
	ahead = at;
}

static long long now(long long *nanoseconds) {
	struct timespec t;
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
	*nanoseconds = t.tv_nsec % 1000;
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000 + (ahead ? *ahead : 0);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
	long long nanoseconds, microseconds;
	if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
		return syscall(SYS_clock_gettime, clock, t);
	microseconds = now(&nanoseconds);
	t->tv_sec = microseconds / 1000000;
	t->tv_nsec = microseconds % 1000000 * 1000 + nanoseconds;
	return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
	long long nanoseconds, microseconds = now(&nanoseconds);
	t->tv_sec = microseconds / 1000000;
	t->tv_usec = microseconds % 1000000;
	return 0;
}

time_t time(time_t *at) {
	long long nanoseconds;
	time_t seconds = now(&nanoseconds) / 1000000;
	if (at)
		*at = seconds;
	return seconds;
}
