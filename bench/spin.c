/* The yardstick of the channels' benchmark: a word that goes back and forth between two processes in
 * shared memory, both of which do nothing but look. Prints the nanoseconds of a round trip in
 * the best of several batches. */

#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 60, TRIPS = 2000 };

/* Each word alone on its cache lines. */
struct words {
    uint64_t ping;
    char room[248];
    uint64_t pong;
};

static double now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void await(const uint64_t *word, uint64_t value) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
    }
}

int main(void) {
    const uint64_t last = (uint64_t)BATCHES * TRIPS;
    double least = 0;
    struct words *words = mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) return 1;
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        for (uint64_t trip = 1; trip <= last; trip++) {
            await(&words->ping, trip);
            __atomic_store_n(&words->pong, trip, __ATOMIC_RELEASE);
        }
        return 0;
    }
    for (uint64_t batch = 0, trip = 0; batch < BATCHES; batch++) {
        const double start = now_ns();
        for (int each = 0; each < TRIPS; each++) {
            trip++;
            __atomic_store_n(&words->ping, trip, __ATOMIC_RELEASE);
            await(&words->pong, trip);
        }
        const double took = (now_ns() - start) / TRIPS;
        if (batch == 0 || took < least) least = took;
    }
    waitpid(child, NULL, 0);
    printf("%.1f\n", least);
    return 0;
}
