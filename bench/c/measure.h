/* The clock of the programs in C and C++, as bench/suite/loop.ts is that of the ones in TypeScript:
 * the median of batches, each long enough for the clock, after batches that only warm up. */

#ifndef MEASURE_H
#define MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef void (*batch_of)(void *context, long count);

static inline double now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/** How long one figure is measured. */
static inline double measure_ns(void) {
    const char *milliseconds = getenv("XMEM_BENCH_MS");
    return (milliseconds != NULL ? atof(milliseconds) : 100) * 1e6;
}

static inline int measure_ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/** Nanoseconds of one operation: the median of the batches of about 200 us, or of one operation. */
static inline double measure(batch_of batch, void *context) {
    enum { BATCHES_MAX = 4096, LEAST = 3 };
    const double room = measure_ns();
    static double took[BATCHES_MAX];
    long count = 1;
    int done = 0;
    const double warm_until = now_ns() + room / 2;
    for (;;) {
        const double start = now_ns();
        batch(context, count);
        const double end = now_ns();
        if (end > warm_until) break;
        if (end - start < 200e3) count *= 2;
    }
    const double until = now_ns() + room;
    while (done < BATCHES_MAX && (done < LEAST || now_ns() < until)) {
        const double start = now_ns();
        batch(context, count);
        took[done++] = (now_ns() - start) / (double)count;
    }
    qsort(took, (size_t)done, sizeof *took, measure_ascending);
    return took[done / 2];
}

#endif
