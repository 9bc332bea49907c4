/* The ways in C to hand a buffer to another process and to get one back. Side 0 is the process that
 * began, side 1 its child. Each side has at most one buffer that it writes and one that it reads. */

#ifndef CARRIER_H
#define CARRIER_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xmem.h"

/** How many buffers are on their way at most. */
enum { CARRIER_DEPTH = 4 };

struct carrier {
    const char *name;
    /** Called by side 0 before it forks. */
    void (*prepare)(size_t size);
    /** Called by both sides after that. */
    void (*join)(int side);
    /** A buffer to write. */
    void *(*claim)(void);
    void (*send)(void);
    void *(*receive)(void);
    /** The buffer that was received was read. */
    void (*done)(void);
    /** Instead of that: sends it back, or one like it. */
    void (*reply)(void);
};

static size_t carrier_size;
static int carrier_side;

static void carrier_fail(const char *what) {
    perror(what);
    exit(1);
}

/* A ring in shared memory, by hand, without a copy and without a check. */

struct ring {
    _Alignas(128) uint32_t sent;
    _Alignas(128) uint32_t done;
    _Alignas(128) uint32_t sleepers;
};

static struct ring *rings;
static uint8_t *ring_frames;
static uint32_t ring_to, ring_from;

/** How often a side looks before it sleeps; 0: it never sleeps. */
static uint32_t ring_looks;

static void ring_wait(uint32_t *word, uint32_t unwanted, struct ring *of) {
    uint32_t looks = 0;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == unwanted) {
        if (ring_looks == 0 || ++looks < ring_looks) continue;
        __atomic_fetch_add(&of->sleepers, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, word, FUTEX_WAIT, unwanted, NULL, NULL, 0);
        __atomic_fetch_sub(&of->sleepers, 1, __ATOMIC_SEQ_CST);
    }
}

static void ring_advance(uint32_t *word, uint32_t value, struct ring *of) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    if (ring_looks == 0) return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&of->sleepers, __ATOMIC_SEQ_CST) == 0) return;
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void ring_prepare(size_t size) {
    carrier_size = size;
    const size_t bytes = 2 * sizeof *rings + 2 * CARRIER_DEPTH * size;
    rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rings == MAP_FAILED) carrier_fail("mmap");
    ring_frames = (uint8_t *)(rings + 2);
    ring_to = ring_from = 0;
}

static void ring_join(int side) { carrier_side = side; }

static void *ring_frame(int side, uint32_t number) {
    return ring_frames + ((size_t)side * CARRIER_DEPTH + number % CARRIER_DEPTH) * carrier_size;
}

static void *ring_claim(void) {
    struct ring *ring = &rings[carrier_side];
    ring_wait(&ring->done, ring_to - CARRIER_DEPTH, ring);
    return ring_frame(carrier_side, ring_to);
}

static void ring_send(void) {
    struct ring *ring = &rings[carrier_side];
    ring_advance(&ring->sent, ++ring_to, ring);
}

static void *ring_receive(void) {
    struct ring *ring = &rings[!carrier_side];
    ring_wait(&ring->sent, ring_from, ring);
    return ring_frame(!carrier_side, ring_from);
}

static void ring_done(void) {
    struct ring *ring = &rings[!carrier_side];
    ring_advance(&ring->done, ++ring_from, ring);
}

static void ring_reply(void) {
    const uint8_t first = *(uint8_t *)ring_frame(!carrier_side, ring_from);
    ring_done();
    *(uint8_t *)ring_claim() = first;
    ring_send();
}

static void futex_prepare(size_t size) {
    ring_looks = 1;
    ring_prepare(size);
}

static void spin_futex_prepare(size_t size) {
    ring_looks = 2000;
    ring_prepare(size);
}

/* xmem: a pool, and a channel for each direction. */

static xmem_pool pool;
static xmem_channel channels[2];
static xmem_handle written, read_handle;
static char pool_name[64];
static int pool_sleeps;

static void pool_check(int32_t status, const char *what) {
    if (status == XMEM_OK) return;
    fprintf(stderr, "%s: %d\n", what, status);
    exit(1);
}

static void pool_prepare(size_t size) {
    carrier_size = size;
    snprintf(pool_name, sizeof pool_name, "bench.carrier.%d.%zu", getpid(), size);
    const xmem_options options = {.size = sizeof options,
                                  .capacity = CARRIER_DEPTH,
                                  .buffer_size = (uint32_t)size,
                                  .ephemeral = 1};
    pool_check(xmem_create(pool_name, &options, &pool), "create");
}

static void pool_wait_prepare(size_t size) {
    pool_sleeps = 1;
    pool_prepare(size);
}

static void pool_join(int side) {
    carrier_side = side;
    if (side == 1) pool_check(xmem_open(pool_name, NULL, &pool), "open");
    pool_check(xmem_channel_open(pool, "to the child", NULL, &channels[0]), "channel");
    pool_check(xmem_channel_open(pool, "to the parent", NULL, &channels[1]), "channel");
}

static void *pool_bytes(xmem_handle handle) {
    void *data;
    size_t size;
    pool_check(xmem_data(pool, handle, &data, &size), "data");
    return data;
}

static void *pool_claim(void) {
    int32_t status;
    do {
        status = pool_sleeps ? xmem_acquire_timed(pool, (uint32_t)carrier_size, 10000, &written)
                             : xmem_acquire(pool, (uint32_t)carrier_size, &written);
    } while (status == XMEM_POOL_FULL);
    pool_check(status, "acquire");
    return pool_bytes(written);
}

static void pool_send(void) {
    pool_check(xmem_send(pool, channels[carrier_side], written, NULL), "send");
}

static void *pool_receive(void) {
    const xmem_channel from = channels[!carrier_side];
    if (pool_sleeps) {
        pool_check(xmem_receive_timed(pool, from, 10000, &read_handle), "receive");
    } else {
        do pool_check(xmem_receive(pool, from, &read_handle), "receive");
        while (read_handle == 0);
    }
    return pool_bytes(read_handle);
}

static void pool_done(void) { pool_check(xmem_release(pool, read_handle), "release"); }

static void pool_reply(void) {
    written = read_handle;
    pool_send();
}

/* Bytes through a pipe or a socket. */

static int stream_in[2], stream_out[2];
static uint8_t *stream_written, *stream_read;

static void stream_buffers(size_t size) {
    carrier_size = size;
    stream_written = calloc(1, size);
    stream_read = calloc(1, size);
    if (stream_written == NULL || stream_read == NULL) carrier_fail("calloc");
}

static void pipe_prepare(size_t size) {
    int to[2], back[2];
    if (pipe(to) != 0 || pipe(back) != 0) carrier_fail("pipe");
    /* The most that a user may have; what is refused leaves the default. */
    fcntl(to[1], F_SETPIPE_SZ, 1 << 20);
    fcntl(back[1], F_SETPIPE_SZ, 1 << 20);
    stream_out[0] = to[1], stream_in[1] = to[0];
    stream_out[1] = back[1], stream_in[0] = back[0];
    stream_buffers(size);
}

static void socket_prepare(size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) carrier_fail("socketpair");
    stream_in[0] = stream_out[0] = ends[0];
    stream_in[1] = stream_out[1] = ends[1];
    stream_buffers(size);
}

static void *stream_claim(void) { return stream_written; }

static void stream_write(const uint8_t *bytes) {
    for (size_t at = 0; at < carrier_size;) {
        const ssize_t wrote = write(stream_out[carrier_side], bytes + at, carrier_size - at);
        if (wrote <= 0) carrier_fail("write");
        at += (size_t)wrote;
    }
}

static void stream_send(void) { stream_write(stream_written); }

static void *stream_receive(void) {
    for (size_t at = 0; at < carrier_size;) {
        const ssize_t got = read(stream_in[carrier_side], stream_read + at, carrier_size - at);
        if (got <= 0) carrier_fail("read");
        at += (size_t)got;
    }
    return stream_read;
}

static void stream_done(void) {}

static void stream_reply(void) { stream_write(stream_read); }

static const struct carrier carriers[] = {
    {"ring", ring_prepare, ring_join, ring_claim, ring_send, ring_receive, ring_done, ring_reply},
    {"futex", futex_prepare, ring_join, ring_claim, ring_send, ring_receive, ring_done, ring_reply},
    {"spin-futex", spin_futex_prepare, ring_join, ring_claim, ring_send, ring_receive, ring_done,
     ring_reply},
    {"xmem", pool_prepare, pool_join, pool_claim, pool_send, pool_receive, pool_done, pool_reply},
    {"xmem-wait", pool_wait_prepare, pool_join, pool_claim, pool_send, pool_receive, pool_done,
     pool_reply},
    {"pipe", pipe_prepare, ring_join, stream_claim, stream_send, stream_receive, stream_done,
     stream_reply},
    {"socket", socket_prepare, ring_join, stream_claim, stream_send, stream_receive, stream_done,
     stream_reply},
};

static const struct carrier *carrier_named(const char *name) {
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++)
        if (strcmp(carriers[i].name, name) == 0) return &carriers[i];
    fprintf(stderr, "no carrier %s\n", name);
    exit(1);
}

#endif
