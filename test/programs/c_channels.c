/* Calls every function of xmem.h that has to do with channels, rightly and wrongly, and ends with 1
   at the first surprise. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "expect.h"
#include "xmem.h"

static const char *pool_name;

static xmem_pool open_pool(void) {
    xmem_options options;
    xmem_pool pool;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 8;
    options.buffer_size = 100;
    options.channels = 4;
    EXPECT_OK(xmem_open_or_create(pool_name, &options, &pool));
    return pool;
}

static xmem_channel_options channel_options(uint32_t capacity, uint32_t mode, uint32_t overflow) {
    xmem_channel_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = capacity;
    options.mode = mode;
    options.overflow = overflow;
    return options;
}

static xmem_channel open_channel(xmem_pool pool, const char *name, xmem_channel_options options) {
    xmem_channel channel;
    EXPECT_OK(xmem_channel_open(pool, name, &options, &channel));
    return channel;
}

static xmem_handle acquire(xmem_pool pool, uint32_t size) {
    xmem_handle handle;
    EXPECT_OK(xmem_acquire(pool, size, &handle));
    return handle;
}

static uint64_t free_in(xmem_pool pool) {
    xmem_pool_stats stats;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_stats(pool, &stats));
    return stats.free;
}

/* The size of the next buffer, which is given back; -1: nothing is there. */
static int received_size(xmem_pool pool, xmem_channel channel) {
    xmem_handle handle = 99;
    size_t size;
    EXPECT_OK(xmem_receive(pool, channel, &handle));
    if (handle == 0) return -1;
    EXPECT_OK(xmem_data(pool, handle, NULL, &size));
    EXPECT_OK(xmem_release(pool, handle));
    return (int)size;
}

/* Closed and left, so that a recovery frees its place for the next channel. */
static void end_channel(xmem_pool pool, xmem_channel channel) {
    EXPECT_OK(xmem_channel_close(pool, channel));
    EXPECT_OK(xmem_channel_leave(pool, channel));
    EXPECT_OK(xmem_reclaim(pool, NULL));
}

static void check_opening(xmem_pool pool) {
    xmem_channel channel = 77;
    xmem_channel_options options = channel_options(3, XMEM_MODE_BROADCAST, 0);
    const char *long_name = "a name that has just one byte more than the sixty-three it may have";
    EXPECT_STATUS(xmem_channel_open(pool, NULL, NULL, &channel), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_channel_open(pool, "", NULL, &channel), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_channel_open(pool, long_name, NULL, &channel), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_channel_open(pool, "a", NULL, NULL), XMEM_INVALID_ARGUMENT);
    options.mode = 3;
    EXPECT_TEXT(xmem_channel_open(pool, "a", &options, &channel), XMEM_INVALID_ARGUMENT,
                "mode is 3");
    options.mode = XMEM_MODE_BROADCAST;
    options.overflow = 4;
    EXPECT_STATUS(xmem_channel_open(pool, "a", &options, &channel), XMEM_INVALID_ARGUMENT);
    options.overflow = XMEM_OVERFLOW_DROP_OLDEST;
    options.history = 3;
    EXPECT_STATUS(xmem_channel_open(pool, "a", &options, &channel), XMEM_INVALID_ARGUMENT);
    options.history = 2;
    options.size = 7;
    EXPECT_STATUS(xmem_channel_open(pool, "a", &options, &channel), XMEM_INVALID_ARGUMENT);
    options.size = sizeof options;
    options.capacity = XMEM_LIMIT_CHANNEL_CAPACITY + 1;
    EXPECT_STATUS(xmem_channel_open(pool, "a", &options, &channel), XMEM_INVALID_ARGUMENT);
    options.capacity = 3;
    EXPECT_STATUS(xmem_channel_open(0, "a", &options, &channel), XMEM_POOL_CLOSED);
    EXPECT(channel == 77);

    EXPECT_OK(xmem_channel_open(pool, "a", &options, &channel));
    EXPECT(channel != 0);
    xmem_channel_info info;
    info.size = sizeof info;
    EXPECT_OK(xmem_get_channel_info(pool, channel, &info));
    EXPECT(info.capacity == 3 && info.mode == XMEM_MODE_BROADCAST && info.history == 2);
    EXPECT(info.overflow == XMEM_OVERFLOW_DROP_OLDEST && info.size == sizeof info);
    info.size = 8;
    EXPECT_STATUS(xmem_get_channel_info(pool, channel, &info), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_get_channel_info(pool, channel, NULL), XMEM_INVALID_ARGUMENT);

    xmem_channel again;
    EXPECT_OK(xmem_channel_open(pool, "a", NULL, &again));
    EXPECT(again != channel);
    EXPECT_OK(xmem_channel_leave(pool, again));
    options.capacity = 4;
    EXPECT_TEXT(xmem_channel_open(pool, "a", &options, &again), XMEM_OPTIONS_MISMATCH,
                "its capacity is 3, and 4 was asked for");
    end_channel(pool, channel);

    const char *names[4] = {"1", "2", "3", "4"};
    xmem_channel all[4];
    for (int each = 0; each < 4; each++)
        EXPECT_OK(xmem_channel_open(pool, names[each], NULL, &all[each]));
    EXPECT_STATUS(xmem_channel_open(pool, "5", NULL, &again), XMEM_OUT_OF_MEMORY);
    for (int each = 0; each < 4; each++) end_channel(pool, all[each]);
}

static void check_numbers(xmem_pool pool) {
    const xmem_channel channel = open_channel(pool, "a", channel_options(2, 0, 0));
    const xmem_pool other_pool = open_pool();
    const xmem_channel other = open_channel(other_pool, "a", channel_options(0, 0, 0));
    const xmem_handle handle = acquire(pool, 8);
    xmem_handle received = 99;
    uint32_t dropped = 99;
    xmem_channel_stats stats;
    stats.size = sizeof stats;
    char said[64];
    snprintf(said, sizeof said, "the pool has no channel open as %u", other);
    EXPECT_TEXT(xmem_send(pool, other, handle, &dropped), XMEM_CHANNEL_CLOSED, said);
    EXPECT_STATUS(xmem_receive(other_pool, channel, &received), XMEM_CHANNEL_CLOSED);
    EXPECT_OK(xmem_channel_leave(pool, channel));
    /* Its place is taken again, and the old number still names nothing. */
    const xmem_channel next = open_channel(pool, "a", channel_options(0, 0, 0));
    EXPECT(next != channel);
    const xmem_channel stale[4] = {channel, 0, 4000000000u, other};
    for (int each = 0; each < 4; each++) {
        EXPECT_STATUS(xmem_send(pool, stale[each], handle, &dropped), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_try_send(pool, stale[each], handle), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_send_timed(pool, stale[each], handle, 1), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_receive(pool, stale[each], &received), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_receive_timed(pool, stale[each], 1, &received), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_channel_leave(pool, stale[each]), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_channel_close(pool, stale[each]), XMEM_CHANNEL_CLOSED);
        EXPECT_STATUS(xmem_get_channel_stats(pool, stale[each], &stats), XMEM_CHANNEL_CLOSED);
    }
    EXPECT_OK(xmem_close(other_pool));
    EXPECT_STATUS(xmem_send(other_pool, other, handle, &dropped), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_receive(other_pool, other, &received), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_channel_leave(other_pool, other), XMEM_POOL_CLOSED);
    EXPECT(received == 99 && dropped == 99);
    EXPECT_OK(xmem_release(pool, handle));
    end_channel(pool, next);
}

static void check_queue(xmem_pool pool) {
    const xmem_channel channel = open_channel(pool, "queue", channel_options(2, 0, 0));
    xmem_handle sent[2];
    xmem_handle received;
    uint32_t dropped = 99;
    const xmem_handle third = acquire(pool, 8);
    EXPECT_OK(xmem_receive(pool, channel, &received));
    EXPECT(received == 0);
    for (uint32_t each = 0; each < 2; each++) {
        sent[each] = acquire(pool, 10 + each);
        EXPECT_OK(xmem_send(pool, channel, sent[each], &dropped));
        EXPECT(dropped == 0);
    }
    /* What is in the channel is not this thread's. */
    EXPECT_STATUS(xmem_data(pool, sent[0], NULL, NULL), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_release(pool, sent[0]), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_send(pool, channel, sent[0], NULL), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_send(pool, channel, UINT64_MAX, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_take(pool, sent[0], NULL), XMEM_NO_REFERENCE);
    dropped = 99;
    EXPECT_TEXT(xmem_send(pool, channel, third, &dropped), XMEM_CHANNEL_FULL,
                "2 of its 2 places are taken; wait with xmem_send_timed, or give it more capacity");
    EXPECT_STATUS(xmem_try_send(pool, channel, third), XMEM_CHANNEL_FULL);
    EXPECT_TEXT(xmem_send_timed(pool, channel, third, 0), XMEM_TIMEOUT,
                "there was no room in time: 2 of its 2 places are taken");
    EXPECT(dropped == 99);
    EXPECT_OK(xmem_data(pool, third, NULL, NULL));
    EXPECT_OK(xmem_receive(pool, channel, &received));
    EXPECT(received == sent[0]);
    EXPECT_OK(xmem_release(pool, received));
    EXPECT_OK(xmem_send_timed(pool, channel, third, XMEM_FOREVER));

    xmem_channel_stats stats;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_get_channel_stats(pool, channel, &stats));
    EXPECT(stats.sent == 3 && stats.received == 1 && stats.queued == 2 && stats.capacity == 2);
    EXPECT(stats.mode == XMEM_MODE_QUEUE && stats.overflow == XMEM_OVERFLOW_BLOCK);
    EXPECT(stats.closed == 0 && stats.open_by == 1 && stats.dropped == 0);
    EXPECT(strcmp(stats.name, "queue") == 0);

    /* Closed for everybody, and drained. */
    const xmem_handle late = acquire(pool, 8);
    EXPECT_OK(xmem_channel_close(pool, channel));
    EXPECT_OK(xmem_channel_close(pool, channel));
    EXPECT_TEXT(xmem_send(pool, channel, late, NULL), XMEM_CHANNEL_CLOSED,
                "it was closed, and 2 buffers in it can still be received");
    EXPECT_STATUS(xmem_send_timed(pool, channel, late, XMEM_FOREVER), XMEM_CHANNEL_CLOSED);
    EXPECT_OK(xmem_receive_timed(pool, channel, XMEM_FOREVER, &received));
    EXPECT(received == sent[1]);
    EXPECT_OK(xmem_release(pool, received));
    EXPECT(received_size(pool, channel) == 8);
    EXPECT_TEXT(xmem_receive(pool, channel, &received), XMEM_CHANNEL_CLOSED,
                "it was closed, and nothing is left in it");
    EXPECT_STATUS(xmem_receive_timed(pool, channel, XMEM_FOREVER, &received), XMEM_CHANNEL_CLOSED);
    EXPECT_OK(xmem_get_channel_stats(pool, channel, &stats));
    EXPECT(stats.closed == 1 && stats.received == 3);
    EXPECT_OK(xmem_release(pool, late));
    EXPECT_OK(xmem_channel_leave(pool, channel));
    EXPECT(free_in(pool) == 8);
}

static void check_dropping(xmem_pool pool) {
    uint32_t dropped;
    xmem_channel channel =
        open_channel(pool, "newest", channel_options(2, 0, XMEM_OVERFLOW_DROP_NEWEST));
    for (uint32_t each = 1; each <= 3; each++) {
        EXPECT_OK(xmem_send(pool, channel, acquire(pool, each), &dropped));
        EXPECT(dropped == (each == 3));
    }
    EXPECT(received_size(pool, channel) == 1 && received_size(pool, channel) == 2);
    EXPECT(received_size(pool, channel) == -1);
    end_channel(pool, channel);

    channel = open_channel(pool, "oldest", channel_options(2, 0, XMEM_OVERFLOW_DROP_OLDEST));
    for (uint32_t each = 1; each <= 3; each++) {
        EXPECT_OK(xmem_send(pool, channel, acquire(pool, each), &dropped));
        EXPECT(dropped == 0);
    }
    const xmem_handle kept = acquire(pool, 4);
    EXPECT_STATUS(xmem_try_send(pool, channel, kept), XMEM_CHANNEL_FULL);
    EXPECT(received_size(pool, channel) == 2);
    EXPECT_OK(xmem_try_send(pool, channel, kept));
    EXPECT(received_size(pool, channel) == 3 && received_size(pool, channel) == 4);
    end_channel(pool, channel);
    EXPECT(free_in(pool) == 8);
}

static void check_broadcast(xmem_pool pool) {
    xmem_channel_options options = channel_options(4, XMEM_MODE_BROADCAST, 0);
    options.history = 1;
    options.sends_only = 1;
    const xmem_channel source = open_channel(pool, "news", options);
    options.sends_only = 0;
    const xmem_channel early = open_channel(pool, "news", options);
    xmem_handle received = 99;
    EXPECT_TEXT(xmem_receive(pool, source, &received), XMEM_INVALID_ARGUMENT,
                "the channel was opened to send only");
    EXPECT_STATUS(xmem_receive_timed(pool, source, 1, &received), XMEM_INVALID_ARGUMENT);
    EXPECT(received == 99);
    for (uint32_t each = 1; each <= 3; each++)
        EXPECT_OK(xmem_send(pool, source, acquire(pool, each), NULL));
    EXPECT(received_size(pool, early) == 1);
    const xmem_channel late = open_channel(pool, "news", options);

    xmem_channel_stats stats;
    xmem_subscriber rows[3];
    uint32_t count;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_get_channel_stats(pool, source, &stats));
    EXPECT(stats.subscribers == 2 && stats.mode == XMEM_MODE_BROADCAST && stats.history == 1);
    const size_t row_size = sizeof rows[0];
    EXPECT_OK(xmem_subscribers(pool, stats.number, rows, row_size, 3, &count));
    EXPECT(count == 2 && rows[0].lag == 2 && rows[0].received == 1 && rows[0].alive == 1);
    EXPECT(rows[1].lag == 1 && rows[1].received == 0 && rows[1].missed == 0);
    EXPECT(rows[0].pid == (uint64_t)getpid());
    EXPECT_OK(xmem_subscribers(pool, stats.number, NULL, row_size, 0, &count));
    EXPECT(count == 0);
    EXPECT_STATUS(xmem_subscribers(pool, stats.number, NULL, row_size, 1, &count),
                  XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_subscribers(pool, 99, rows, row_size, 3, &count), XMEM_CHANNEL_CLOSED);
    EXPECT_STATUS(xmem_subscribers(pool, stats.number, rows, 4, 3, &count), XMEM_INVALID_ARGUMENT);

    EXPECT(received_size(pool, late) == 3 && received_size(pool, late) == -1);
    EXPECT(received_size(pool, early) == 2 && received_size(pool, early) == 3);
    EXPECT_OK(xmem_channel_leave(pool, early));
    EXPECT_OK(xmem_channel_leave(pool, late));
    end_channel(pool, source);
    EXPECT(free_in(pool) == 8);
}

static void check_sends_only(xmem_pool pool) {
    xmem_channel_options options = channel_options(2, 0, 0);
    options.sends_only = 1;
    const xmem_channel channel = open_channel(pool, "queue", options);
    xmem_handle received;
    EXPECT_STATUS(xmem_receive(pool, channel, &received), XMEM_INVALID_ARGUMENT);
    end_channel(pool, channel);
}

static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    signals++;
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A handler without SA_RESTART cuts system calls short; each wait has its whole time. */
static void check_waits(xmem_pool pool) {
    const xmem_channel channel = open_channel(pool, "waits", channel_options(1, 0, 0));
    xmem_handle received = 99;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    const struct itimerval every = {{0, 7000}, {0, 7000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    EXPECT(setitimer(ITIMER_REAL, &every, NULL) == 0);
    double start_ms = now_ms();
    EXPECT_TEXT(xmem_receive_timed(pool, channel, 120, &received), XMEM_TIMEOUT,
                "nothing was sent in time");
    EXPECT(now_ms() - start_ms >= 119);
    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 8), NULL));
    const xmem_handle handle = acquire(pool, 8);
    start_ms = now_ms();
    EXPECT_STATUS(xmem_send_timed(pool, channel, handle, 120), XMEM_TIMEOUT);
    EXPECT(now_ms() - start_ms >= 119);
    EXPECT(received_size(pool, channel) == 8);
    const xmem_source source = {pool, channel};
    uint32_t place = 99;
    start_ms = now_ms();
    EXPECT_STATUS(xmem_wait_any(&source, 1, 120, &place), XMEM_TIMEOUT);
    EXPECT(now_ms() - start_ms >= 119);
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    EXPECT(signals > 0 && place == 99 && received == 99);
    EXPECT_OK(xmem_release(pool, handle));
    end_channel(pool, channel);
}

static void check_wait_any(xmem_pool pool) {
    const xmem_channel one = open_channel(pool, "one", channel_options(2, 0, 0));
    const xmem_channel two = open_channel(pool, "two", channel_options(2, 0, 0));
    xmem_channel_options options = channel_options(0, 0, 0);
    options.sends_only = 1;
    const xmem_channel to_send = open_channel(pool, "one", options);
    const xmem_source both[2] = {{pool, one}, {pool, two}};
    const xmem_source with_pool[2] = {{pool, one}, {pool, 0}};
    uint32_t place = 99;
    EXPECT_TEXT(xmem_wait_any(both, 2, 0, &place), XMEM_TIMEOUT,
                "nothing came at any of 2 places");
    EXPECT_OK(xmem_wait_any(with_pool, 2, XMEM_FOREVER, &place));
    EXPECT(place == 1);
    EXPECT_OK(xmem_send(pool, two, acquire(pool, 8), NULL));
    EXPECT_OK(xmem_wait_any(both, 2, XMEM_FOREVER, &place));
    EXPECT(place == 1 && received_size(pool, two) == 8);
    EXPECT_OK(xmem_channel_close(pool, one));
    EXPECT_OK(xmem_wait_any(both, 2, XMEM_FOREVER, &place));
    EXPECT(place == 0);
    place = 99;
    const xmem_source wrong[3] = {{pool, to_send}, {pool, 12345}, {0, 0}};
    EXPECT_STATUS(xmem_wait_any(&wrong[0], 1, 0, &place), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any(&wrong[1], 1, 0, &place), XMEM_CHANNEL_CLOSED);
    EXPECT_STATUS(xmem_wait_any(&wrong[2], 1, 0, &place), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_wait_any(both, 0, 0, &place), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any(both, XMEM_LIMIT_WAIT_SOURCES + 1, 0, &place),
                  XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any(NULL, 1, 0, &place), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any(both, 2, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT(place == 99);
    EXPECT_OK(xmem_channel_leave(pool, to_send));
    end_channel(pool, one);
    end_channel(pool, two);
}

static int is_listed(const char *name) {
    xmem_pool_name *rows = NULL;
    uint32_t count = 0;
    uint32_t room;
    int found = 0;
    /* Others make pools meanwhile. */
    do {
        room = count + 8;
        rows = realloc(rows, room * sizeof *rows);
        EXPECT(rows != NULL);
        EXPECT_OK(xmem_list(rows, sizeof *rows, room, &count));
    } while (count > room);
    for (uint32_t each = 0; each < count; each++) found += strcmp(rows[each].name, name) == 0;
    free(rows);
    return found;
}

static void check_listing(void) {
    uint32_t count = 0;
    EXPECT(is_listed(pool_name) == 1 && is_listed("no.such.pool") == 0);
    EXPECT_OK(xmem_list(NULL, sizeof(xmem_pool_name), 0, &count));
    EXPECT(count >= 1);
    EXPECT_STATUS(xmem_list(NULL, sizeof(xmem_pool_name), 1, &count), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_list(NULL, 8, 0, &count), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_list(NULL, sizeof(xmem_pool_name), 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT(setenv("XMEM_DIR", "/no/such/folder", 1) == 0);
    EXPECT_OK(xmem_list(NULL, sizeof(xmem_pool_name), 0, &count));
    EXPECT(count == 0);
    EXPECT(setenv("XMEM_DIR", "/dev/null", 1) == 0);
    EXPECT_TEXT(xmem_list(NULL, sizeof(xmem_pool_name), 0, &count), XMEM_SYSTEM,
                "the directory /dev/null cannot be read");
    EXPECT(xmem_error_errno() != 0);
}

static void check_looking(xmem_pool pool) {
    const xmem_channel channel = open_channel(pool, "seen", channel_options(2, 0, 0));
    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 8), NULL));
    xmem_pool seen;
    EXPECT_STATUS(xmem_observe("no.such.pool", NULL, &seen), XMEM_POOL_NOT_FOUND);
    EXPECT_OK(xmem_observe(pool_name, NULL, &seen));
    struct {
        xmem_channel_stats known;
        uint64_t later;
    } rows[2];
    memset(rows, 1, sizeof rows);
    uint32_t count;
    EXPECT_OK(xmem_channels(seen, &rows[0].known, sizeof rows[0], 2, &count));
    EXPECT(count == 1 && rows[0].known.queued == 1 && rows[0].later == 0);
    EXPECT(rows[0].known.size == sizeof rows[0] && strcmp(rows[0].known.name, "seen") == 0);
    EXPECT_OK(xmem_channels(pool, NULL, sizeof rows[0], 0, &count));
    EXPECT(count == 0);
    EXPECT_STATUS(xmem_channels(pool, NULL, 8, 0, &count), XMEM_INVALID_ARGUMENT);
    xmem_subscriber subscriber;
    EXPECT_OK(xmem_subscribers(seen, rows[0].known.number, &subscriber, sizeof subscriber, 1,
                               &count));
    EXPECT(count == 0);
    xmem_pool_info info;
    info.size = sizeof info;
    EXPECT_OK(xmem_info(seen, &info));
    EXPECT(info.capacity == 8 && info.channels == 4);
    EXPECT(free_in(seen) == 7);
    xmem_participant participants[2];
    EXPECT_OK(xmem_participants(seen, participants, sizeof participants[0], 2, &count));
    EXPECT(count == 1);
    xmem_handle handle;
    xmem_channel other;
    EXPECT_TEXT(xmem_acquire(seen, 8, &handle), XMEM_POOL_CLOSED,
                "the pool is observed, and not open");
    EXPECT_STATUS(xmem_channel_open(seen, "seen", NULL, &other), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_reclaim(seen, NULL), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_unlink_pool(seen), XMEM_POOL_CLOSED);
    EXPECT_OK(xmem_close(seen));
    EXPECT_STATUS(xmem_close(seen), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_info(seen, &info), XMEM_POOL_CLOSED);
    EXPECT(received_size(pool, channel) == 8);
    end_channel(pool, channel);
}

enum { passed_on = 20000 };

struct shared {
    xmem_pool pool;
    xmem_channel channel;
};

/* Opens the pool and the channel for itself: those of the other thread are refused. */
static void *send_all(void *argument) {
    const struct shared *others = argument;
    xmem_handle handle;
    char text[64];
    EXPECT_STATUS(xmem_send(others->pool, others->channel, 0, NULL), XMEM_INVALID_ARGUMENT);
    xmem_error_text(text, sizeof text);
    EXPECT(strcmp(text, "another thread opened the pool") == 0);
    EXPECT_STATUS(xmem_receive(others->pool, others->channel, &handle), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_channel_leave(others->pool, others->channel), XMEM_INVALID_ARGUMENT);
    const xmem_pool pool = open_pool();
    EXPECT_STATUS(xmem_receive(pool, others->channel, &handle), XMEM_CHANNEL_CLOSED);
    const xmem_channel channel = open_channel(pool, "threads", channel_options(0, 0, 0));
    for (uint64_t each = 0; each < passed_on; each++) {
        EXPECT_OK(xmem_acquire_timed(pool, 8, XMEM_FOREVER, &handle));
        EXPECT_OK(xmem_set_sequence(pool, handle, each));
        EXPECT_OK(xmem_send_timed(pool, channel, handle, XMEM_FOREVER));
    }
    EXPECT_OK(xmem_channel_close(pool, channel));
    /* Ends without a close. */
    return NULL;
}

static void check_threads(xmem_pool pool) {
    const struct shared own = {pool, open_channel(pool, "threads", channel_options(3, 0, 0))};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, send_all, (void *)&own) == 0);
    uint64_t received = 0;
    xmem_description description;
    description.size = sizeof description;
    while (1) {
        xmem_handle handle;
        const int32_t status = xmem_receive_timed(pool, own.channel, XMEM_FOREVER, &handle);
        if (status == XMEM_CHANNEL_CLOSED) break;
        EXPECT_OK(status);
        EXPECT_OK(xmem_get_description(pool, handle, &description));
        EXPECT(description.sequence == received);
        EXPECT_OK(xmem_release(pool, handle));
        received++;
    }
    EXPECT(received == passed_on);
    EXPECT(pthread_join(thread, NULL) == 0);
    end_channel(pool, own.channel);
    EXPECT(free_in(pool) == 8);
}

static void be_child(xmem_pool pool, xmem_channel channel, xmem_handle held, xmem_pool seen) {
    xmem_handle received;
    uint32_t place;
    xmem_channel other;
    const xmem_source source = {pool, channel};
    const char *forked = "it was opened before this process was forked; open it again";
    EXPECT_TEXT(xmem_send(pool, channel, held, NULL), XMEM_POOL_CLOSED, forked);
    EXPECT_TEXT(xmem_receive(pool, channel, &received), XMEM_POOL_CLOSED, forked);
    EXPECT_STATUS(xmem_try_send(pool, channel, held), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_send_timed(pool, channel, held, XMEM_FOREVER), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_receive_timed(pool, channel, XMEM_FOREVER, &received), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_wait_any(&source, 1, XMEM_FOREVER, &place), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_channel_open(pool, "fork", NULL, &other), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_channel_close(pool, channel), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_channel_leave(pool, channel), XMEM_POOL_CLOSED);
    xmem_channel_stats stats;
    stats.size = sizeof stats;
    EXPECT_STATUS(xmem_get_channel_stats(pool, channel, &stats), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_channels(seen, &stats, sizeof stats, 1, &place), XMEM_POOL_CLOSED);
    EXPECT_OK(xmem_close(seen));
    EXPECT_OK(xmem_close(pool));
    EXPECT_STATUS(xmem_close(pool), XMEM_POOL_CLOSED);
    /* Its own opens work: it receives what the parent sent. */
    const xmem_pool own_pool = open_pool();
    const xmem_channel own = open_channel(own_pool, "fork", channel_options(0, 0, 0));
    EXPECT(received_size(own_pool, own) == 9);
    EXPECT_OK(xmem_send(own_pool, own, acquire(own_pool, 10), NULL));
    EXPECT_OK(xmem_close(own_pool));
}

static void check_fork(xmem_pool pool) {
    const xmem_channel channel = open_channel(pool, "fork", channel_options(2, 0, 0));
    xmem_pool seen;
    EXPECT_OK(xmem_observe(pool_name, NULL, &seen));
    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 9), NULL));
    const xmem_handle held = acquire(pool, 11);
    const pid_t child = fork();
    if (child == 0) {
        be_child(pool, channel, held, seen);
        _exit(0);
    }
    int status = 1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    /* The parent's go on. */
    EXPECT_OK(xmem_close(seen));
    EXPECT_OK(xmem_send(pool, channel, held, NULL));
    EXPECT(received_size(pool, channel) == 10 && received_size(pool, channel) == 11);
    end_channel(pool, channel);
    EXPECT(free_in(pool) == 8);
}

static uint32_t deliveries_of(xmem_pool pool, xmem_handle handle) {
    uint32_t deliveries = 99;
    EXPECT_OK(xmem_deliveries(pool, handle, &deliveries));
    return deliveries;
}

/* Receives one, and dies with it. */
static void receive_and_die(const char *name) {
    const pid_t child = fork();
    if (child == 0) {
        const xmem_pool pool = open_pool();
        const xmem_channel channel = open_channel(pool, name, channel_options(0, 0, 0));
        xmem_handle handle;
        EXPECT_OK(xmem_receive_timed(pool, channel, 10000, &handle));
        raise(SIGKILL);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

/* By each call that sends a buffer. */
static void send_by(int way, xmem_pool pool, xmem_channel channel, xmem_handle handle) {
    uint32_t sent = 1;
    if (way == 0) EXPECT_OK(xmem_send(pool, channel, handle, NULL));
    if (way == 1) EXPECT_OK(xmem_try_send(pool, channel, handle));
    if (way == 2) EXPECT_OK(xmem_send_timed(pool, channel, handle, 10000));
    if (way == 3) EXPECT_OK(xmem_send_slice(pool, channel, handle, UINT64_MAX, &sent));
    if (way == 4) EXPECT_OK(xmem_send_next(pool, channel, handle, 1, &sent));
    EXPECT(sent == 1);
}

static void check_redelivery(xmem_pool pool) {
    xmem_channel_options options = channel_options(2, XMEM_MODE_QUEUE, 0);
    options.redeliver = 1;
    options.max_deliveries = 3;
    options.dead_letter = "letters";
    const xmem_channel channel = open_channel(pool, "jobs", options);
    const xmem_channel letters = open_channel(pool, "letters", channel_options(2, 0, 0));
    xmem_channel_info info;
    info.size = sizeof info;
    EXPECT_OK(xmem_get_channel_info(pool, channel, &info));
    EXPECT(info.redeliver == 1 && info.max_deliveries == 3);
    options.max_deliveries = 4;
    xmem_channel other;
    EXPECT_STATUS(xmem_channel_open(pool, "jobs", &options, &other), XMEM_OPTIONS_MISMATCH);

    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 1), NULL));
    receive_and_die("jobs");
    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 2), NULL));
    xmem_handle handle;
    EXPECT_OK(xmem_receive(pool, channel, &handle));
    EXPECT(deliveries_of(pool, handle) == 2);
    /* With the last hold of the buffer its message ends. */
    EXPECT_OK(xmem_get(pool, handle, NULL));
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT(deliveries_of(pool, handle) == 2);
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_STATUS(xmem_deliveries(pool, handle, &(uint32_t){0}), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_deliveries(pool, handle, NULL), XMEM_INVALID_ARGUMENT);
    /* The next one is sent on, and counts anew where it comes back to. */
    EXPECT_OK(xmem_receive(pool, channel, &handle));
    EXPECT_OK(xmem_send(pool, channel, handle, NULL));
    for (int times = 0; times < 3; times++) receive_and_die("jobs");
    EXPECT(received_size(pool, channel) == -1);
    EXPECT_OK(xmem_receive(pool, letters, &handle));
    EXPECT(deliveries_of(pool, handle) == 0);
    EXPECT_OK(xmem_release(pool, handle));
    /* Handed off, it is no message. */
    EXPECT_OK(xmem_send(pool, channel, acquire(pool, 3), NULL));
    EXPECT_OK(xmem_receive(pool, channel, &handle));
    EXPECT_OK(xmem_hand_off(pool, handle));
    EXPECT_OK(xmem_take(pool, handle, NULL));
    EXPECT(deliveries_of(pool, handle) == 0);
    EXPECT_OK(xmem_release(pool, handle));
    /* Sent to a channel that does not redeliver it is none, whichever call sends it, and also a message
       that is sent on. */
    for (int way = 0; way < 5; way++) {
        EXPECT_OK(xmem_send(pool, channel, acquire(pool, 4), NULL));
        EXPECT_OK(xmem_receive(pool, channel, &handle));
        send_by(way, pool, channel, handle);
        EXPECT_OK(xmem_receive(pool, channel, &handle));
        EXPECT(deliveries_of(pool, handle) == 1);
        send_by(way, pool, letters, handle);
        EXPECT_OK(xmem_receive(pool, letters, &handle));
        EXPECT(deliveries_of(pool, handle) == 0);
        EXPECT_OK(xmem_release(pool, handle));
    }
    xmem_channel_stats stats;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_get_channel_stats(pool, channel, &stats));
    EXPECT(stats.redelivered == 3 && stats.dropped == 0 && stats.queued == 0);
    EXPECT(free_in(pool) == 8);
    end_channel(pool, channel);
    end_channel(pool, letters);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    pool_name = argv[1];
    const xmem_pool pool = open_pool();
    check_opening(pool);
    check_numbers(pool);
    check_queue(pool);
    check_dropping(pool);
    check_broadcast(pool);
    check_sends_only(pool);
    check_waits(pool);
    check_wait_any(pool);
    check_looking(pool);
    check_redelivery(pool);
    check_threads(pool);
    check_fork(pool);
    const char *folder = getenv("XMEM_DIR");
    char *restored = folder == NULL ? NULL : strdup(folder);
    check_listing();
    EXPECT((restored == NULL ? unsetenv("XMEM_DIR") : setenv("XMEM_DIR", restored, 1)) == 0);
    free(restored);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_unlink(pool_name));
    puts("as expected");
    return 0;
}
