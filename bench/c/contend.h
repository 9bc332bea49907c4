/* Several processes, or threads, that do the same at the same time, each as often as it can. Prints
 * for each number of them the operations of all and how evenly they were shared. */

#ifndef CONTEND_H
#define CONTEND_H

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

enum { CONTENDERS_MAX = 8 };

/** Alone on its cache lines. In C++ as well. */
#define ALIGNED __attribute__((aligned(128)))

struct contender {
    /** Runs the operation so many times. Joins what it needs at the first call. */
    batch_of batch;
    /** Called by each contender before it begins; what it returns is the batch's context. */
    void *(*join)(void *context);
    void *context;
    /** Where what is contended for lies in one process only. */
    int threads;
    /** Operations between two looks at the clock; few, where one can take milliseconds. */
    long every;
};

struct contest {
    ALIGNED int ready;
    ALIGNED double begin;
    double end;
    struct contest_count {
        ALIGNED double done;
    } of[CONTENDERS_MAX];
};

struct contest_entry {
    const struct contender *contender;
    struct contest *contest;
    int number;
};

static inline void *contest_run(void *argument) {
    const struct contest_entry *entry = (const struct contest_entry *)argument;
    struct contest *contest = entry->contest;
    const long every = entry->contender->every;
    void *context = entry->contender->join(entry->contender->context);
    double done = 0;
    entry->contender->batch(context, every);
    __atomic_fetch_add(&contest->ready, 1, __ATOMIC_ACQ_REL);
    double begin = 0;
    do {
        usleep(500);
        __atomic_load(&contest->begin, &begin, __ATOMIC_ACQUIRE);
    } while (begin == 0);
    while (now_ns() < begin) {
    }
    while (now_ns() < contest->end) {
        entry->contender->batch(context, every);
        done += (double)every;
    }
    contest->of[entry->number].done = done;
    return NULL;
}

static inline void contest_print(const double *done, int count, double length_ns, const char *after) {
    double sum = 0, least = done[0], most = done[0];
    for (int i = 0; i < count; i++) {
        sum += done[i];
        if (done[i] < least) least = done[i];
        if (done[i] > most) most = done[i];
    }
    printf("\"ops %d\": %.4f, \"share %d\": %.3f%s", count, sum / length_ns * 1e3, count,
           most > 0 ? 100 * least / most : 0, after);
}

/** Runs 1, 2, 4 and 8 of them, and prints the answer. */
static inline void contend(const struct contender *contender) {
    printf("{");
    for (int count = 1; count <= CONTENDERS_MAX; count *= 2) {
        void *page = mmap(NULL, sizeof(struct contest), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct contest *contest = (struct contest *)page;
        struct contest_entry entries[CONTENDERS_MAX];
        pthread_t threads[CONTENDERS_MAX];
        pid_t processes[CONTENDERS_MAX];
        if (page == MAP_FAILED) exit(1);
        fflush(stdout);
        for (int i = 0; i < count; i++) {
            entries[i].contender = contender;
            entries[i].contest = contest;
            entries[i].number = i;
            if (contender->threads) {
                if (pthread_create(&threads[i], NULL, contest_run, &entries[i]) != 0) exit(1);
            } else {
                processes[i] = fork();
                if (processes[i] < 0) exit(1);
                if (processes[i] == 0) {
                    contest_run(&entries[i]);
                    _exit(0);
                }
            }
        }
        while (__atomic_load_n(&contest->ready, __ATOMIC_ACQUIRE) < count) usleep(500);
        double begin = now_ns() + 20e6;
        contest->end = begin + measure_ns();
        __atomic_store(&contest->begin, &begin, __ATOMIC_RELEASE);
        double done[CONTENDERS_MAX];
        for (int i = 0; i < count; i++) {
            if (contender->threads) {
                pthread_join(threads[i], NULL);
            } else {
                int status = 0;
                waitpid(processes[i], &status, 0);
                if (status != 0) exit(1);
            }
            done[i] = contest->of[i].done;
        }
        contest_print(done, count, measure_ns(), count < CONTENDERS_MAX ? ", " : "}\n");
        munmap(contest, sizeof *contest);
    }
}

#endif
