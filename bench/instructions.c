/* The hot operations of the library, for a count of the instructions that they take: the argument
 * says which, and valgrind counts inside of `measured`. Those of the form for Bun are called as Bun
 * calls them. */

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "xmem.h"

enum { SLOTS = 64, SIZE = 4096, WARM = 10000 };

/* As the library keeps it, one for each descriptor. */
struct made {
    uint32_t generation;
    uint32_t size;
    char between[MADE_STRIDE - 8];
};

extern int32_t xmem_bun_acquire_index(uint32_t pool, uint32_t size);
extern void xmem_bun_release_index(uint32_t pool, uint32_t index, uint32_t generation);
extern int32_t xmem_bun_get_by_ref(uint32_t pool, double ref);
extern int32_t xmem_bun_take_by_ref(uint32_t pool, double ref);
extern int32_t xmem_bun_share(uint32_t pool, uint32_t index, uint32_t generation);
extern int32_t xmem_bun_channel_send(uint32_t pool, uint32_t channel, uint32_t index,
                                     uint32_t generation);
extern int32_t xmem_bun_channel_receive(uint32_t pool, uint32_t channel);
extern const struct made *xmem_bun_made(void);

static xmem_pool pool;
/* Of another pool, with a cache of free slots. */
static xmem_pool caching;
static xmem_channel channel;
static xmem_handle held;
static uint32_t held_index;
static uint32_t held_generation;
static const struct made *made;

/* The coarse time stands still, so that the library's thread ticks from the first thousands of
 * operations on, as it does at full speed, although valgrind is slow. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE) {
        time->tv_sec = 1000000;
        time->tv_nsec = 0;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock, time);
}

static void check(int fine) {
    if (fine) return;
    fprintf(stderr, "an operation failed\n");
    exit(1);
}

static void acquire_release(void) {
    xmem_handle handle;
    check(xmem_acquire(pool, SIZE, &handle) == XMEM_OK);
    check(xmem_release(pool, handle) == XMEM_OK);
}

static void acquire_release_cached(void) {
    xmem_handle handle;
    check(xmem_acquire(caching, SIZE, &handle) == XMEM_OK);
    check(xmem_release(caching, handle) == XMEM_OK);
}

static void get_release(void) {
    xmem_handle handle;
    check(xmem_get(pool, held, &handle) == XMEM_OK);
    check(xmem_release(pool, handle) == XMEM_OK);
}

static void share_take_release(void) {
    xmem_handle handle;
    check(xmem_share(pool, held) == XMEM_OK);
    check(xmem_take(pool, held, &handle) == XMEM_OK);
    check(xmem_release(pool, handle) == XMEM_OK);
}

static void send_receive(void) {
    xmem_handle handle;
    uint32_t dropped;
    check(xmem_acquire(pool, SIZE, &handle) == XMEM_OK);
    check(xmem_send(pool, channel, handle, &dropped) == XMEM_OK);
    check(xmem_receive(pool, channel, &handle) == XMEM_OK);
    check(xmem_release(pool, handle) == XMEM_OK);
}

static void bun_release(int32_t index) {
    check(index >= 0);
    xmem_bun_release_index(pool, (uint32_t)index, made[pool].generation);
}

static void bun_acquire_release(void) { bun_release(xmem_bun_acquire_index(pool, SIZE)); }

static void bun_get_release(void) {
    bun_release(xmem_bun_get_by_ref(pool, (double)held));
}

static void bun_share_take_release(void) {
    check(xmem_bun_share(pool, held_index, held_generation) >= 0);
    bun_release(xmem_bun_take_by_ref(pool, (double)held));
}

static void bun_send_receive(void) {
    /* Without the serial that the form for C adds. */
    const uint32_t frames = channel & 0xffff;
    const int32_t index = xmem_bun_acquire_index(pool, SIZE);
    check(index >= 0);
    const uint32_t generation = made[pool].generation;
    check(xmem_bun_channel_send(pool, frames, (uint32_t)index, generation) >= 0);
    bun_release(xmem_bun_channel_receive(pool, frames));
}

static const struct operation {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"C: acquire + release", acquire_release},
    {"C, local_cache: acquire + release", acquire_release_cached},
    {"C: get + release", get_release},
    {"C: share + take + release", share_take_release},
    {"C: acquire + send + receive + release", send_receive},
    {"Bun: acquire + release", bun_acquire_release},
    {"Bun: get + release", bun_get_release},
    {"Bun: share + take + release", bun_share_take_release},
    {"Bun: acquire + send + receive + release", bun_send_receive},
};

/* Valgrind knows it by its name. */
__attribute__((noinline)) void measured(void (*run)(void), long count) {
    for (long i = 0; i < count; i++) run();
}

int main(int argc, char **argv) {
    const size_t known = sizeof operations / sizeof operations[0];
    if (argc < 3) {
        for (size_t i = 0; i < known; i++) puts(operations[i].name);
        return 0;
    }
    char name[64];
    snprintf(name, sizeof name, "instructions.%d", (int)getpid());
    xmem_options options = {
        .size = sizeof options, .capacity = SLOTS, .buffer_size = SIZE, .ephemeral = 1};
    check(xmem_create(name, &options, &pool) == XMEM_OK);
    snprintf(name, sizeof name, "instructions.cache.%d", (int)getpid());
    options.local_cache = 8;
    check(xmem_create(name, &options, &caching) == XMEM_OK);
    check(xmem_channel_open(pool, "frames", NULL, &channel) == XMEM_OK);
    check(xmem_acquire(pool, SIZE, &held) == XMEM_OK);
    held_index = xmem_index(held);
    held_generation = (uint32_t)(held >> 24);
    made = xmem_bun_made();
    for (int i = 0; i < WARM; i++) acquire_release();
    /* The thread that ticks begins, and ticks for a quarter of a second. */
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    for (size_t i = 0; i < known; i++) {
        if (strcmp(operations[i].name, argv[1]) != 0) continue;
        operations[i].run();
        measured(operations[i].run, atol(argv[2]));
        check(xmem_close(caching) == XMEM_OK);
        return xmem_close(pool) == XMEM_OK ? 0 : 1;
    }
    fprintf(stderr, "no such operation: %s\n", argv[1]);
    return 2;
}
