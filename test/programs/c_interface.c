/* Calls every function of xmem.h, rightly and wrongly, and ends with 1 at the first surprise. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "expect.h"
#include "xmem.h"

static xmem_options some_options(void) {
    xmem_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 4;
    options.buffer_size = 10000;
    options.participant_name = "c";
    return options;
}

static void check_opening(const char *name) {
    xmem_options options = some_options();
    xmem_pool pool = 77;
    xmem_pool again;
    EXPECT_STATUS(xmem_open(name, NULL, &pool), XMEM_POOL_NOT_FOUND);
    EXPECT_STATUS(xmem_unlink(name), XMEM_POOL_NOT_FOUND);
    EXPECT_TEXT(xmem_create("no/name", &options, &pool), XMEM_INVALID_ARGUMENT,
                "a pool's name is 1 to 200 letters, digits, '.', '_' or '-', and not '.' or '..'");
    EXPECT_STATUS(xmem_create(NULL, &options, &pool), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_create(name, &options, NULL), XMEM_INVALID_ARGUMENT);
    options.mode = 01000;
    EXPECT_STATUS(xmem_create(name, &options, &pool), XMEM_INVALID_ARGUMENT);
    options.mode = 0640;
    options.size = 3;
    EXPECT_STATUS(xmem_create(name, &options, &pool), XMEM_INVALID_ARGUMENT);
    options.size = sizeof options;
    options.participant_name = "a name that has more than 31 bytes";
    EXPECT_STATUS(xmem_create(name, &options, &pool), XMEM_INVALID_ARGUMENT);
    options.participant_name = "c";
    EXPECT(pool == 77);

    EXPECT_OK(xmem_create(name, &options, &pool));
    EXPECT_STATUS(xmem_create(name, &options, &again), XMEM_POOL_EXISTS);
    EXPECT_OK(xmem_open_or_create(name, &options, &again));
    EXPECT(again != pool);
    EXPECT_OK(xmem_close(again));
    EXPECT_STATUS(xmem_close(again), XMEM_POOL_CLOSED);
    options.capacity = 5;
    EXPECT_STATUS(xmem_open_or_create(name, &options, &again), XMEM_OPTIONS_MISMATCH);
    char text[64];
    EXPECT(xmem_error_text(NULL, 0) == strlen("its capacity is 4, smaller than the 5 that was asked for"));
    EXPECT(xmem_error_text(text, 18) > 17 && strcmp(text, "its capacity is 4") == 0);

    xmem_pool_info info;
    info.size = 1;
    EXPECT_STATUS(xmem_info(pool, &info), XMEM_INVALID_ARGUMENT);
    info.size = sizeof info;
    EXPECT_OK(xmem_info(pool, &info));
    EXPECT(info.capacity == 4 && info.buffer_size == 10000 && info.max_participants == 64);
    EXPECT(info.lease_timeout_ms == 30000 && info.mode == 0640 && info.ephemeral == 0);
    EXPECT(info.size == sizeof info && info.max_committed_bytes >= 40000 && info.channels == 16);
    EXPECT_OK(xmem_unlink_pool(pool));
    EXPECT_STATUS(xmem_unlink_pool(pool), XMEM_POOL_NOT_FOUND);
    EXPECT_OK(xmem_close(pool));
    EXPECT_STATUS(xmem_info(pool, &info), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_info(0, &info), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_close(4000000000u), XMEM_POOL_CLOSED);
}

/* A program that was compiled with a later header: its structs are longer. */
static void check_growth(const char *name) {
    struct {
        xmem_options known;
        uint64_t later;
    } options;
    memset(&options, 0, sizeof options);
    options.known = some_options();
    options.known.size = sizeof options;
    options.known.lease_timeout_ms = XMEM_LEASE_NEVER;
    xmem_pool pool;
    options.later = 1;
    EXPECT_STATUS(xmem_create(name, &options.known, &pool), XMEM_INVALID_ARGUMENT);
    options.later = 0;
    EXPECT_OK(xmem_create(name, &options.known, &pool));
    struct {
        xmem_pool_info known;
        uint64_t later;
    } info;
    info.known.size = sizeof info;
    info.later = 1;
    EXPECT_OK(xmem_info(pool, &info.known));
    EXPECT(info.known.lease_timeout_ms == XMEM_LEASE_NEVER);
    EXPECT(info.known.size == sizeof info && info.later == 0);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_unlink(name));
}

static void check_buffers(xmem_pool pool) {
    xmem_handle handles[4];
    xmem_handle handle = 99;
    void *data = NULL;
    size_t size = 0;
    for (uint32_t each = 0; each < 4; each++) {
        EXPECT_OK(xmem_acquire(pool, 100 * each, &handles[each]));
        EXPECT(xmem_index(handles[each]) == each);
        EXPECT_OK(xmem_data(pool, handles[each], &data, &size));
        EXPECT(size == 100 * each);
        memset(data, 7, size);
    }
    EXPECT_OK(xmem_truncate(pool, handles[3], 120));
    EXPECT_OK(xmem_data(pool, handles[3], NULL, &size));
    EXPECT(size == 120);
    EXPECT_STATUS(xmem_truncate(pool, handles[3], 121), XMEM_INVALID_ARGUMENT);
    EXPECT_TEXT(xmem_acquire(pool, 1, &handle), XMEM_POOL_FULL,
                "none of the 4 buffers is free, or the last one is kept for a waiter");
    EXPECT_TEXT(xmem_acquire(pool, 10001, &handle), XMEM_TOO_LARGE,
                "10001 bytes were asked for, and a buffer has at most 10000");
    EXPECT_STATUS(xmem_acquire(pool, 1, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT(handle == 99);
    EXPECT_OK(xmem_get(pool, handles[3], &handle));
    EXPECT(handle == handles[3]);
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_OK(xmem_data(pool, handle, NULL, NULL));
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_STATUS(xmem_release(pool, handle), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_data(pool, handle, &data, &size), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_get(pool, handle, NULL), XMEM_STALE_HANDLE);
    EXPECT_TEXT(xmem_get(pool, 3, NULL), XMEM_BUFFER_NOT_FOUND, "the buffer at index 3 is free");
    EXPECT_TEXT(xmem_get(pool, 4, NULL), XMEM_BUFFER_NOT_FOUND,
                "the index is 4, and the pool has 4 buffers");
    EXPECT_STATUS(xmem_get(pool, UINT64_MAX, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_release(pool, UINT64_MAX), XMEM_INVALID_ARGUMENT);
    /* The slot is in use again: its old handle names nothing. */
    EXPECT_OK(xmem_acquire(pool, 8, &handles[3]));
    EXPECT(xmem_index(handles[3]) == 3 && handles[3] != handle);
    EXPECT_STATUS(xmem_release(pool, handle), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_hand_off(pool, handle), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_share(pool, handle), XMEM_STALE_HANDLE);
    for (int each = 0; each < 4; each++) EXPECT_OK(xmem_release(pool, handles[each]));
}

static void check_references(xmem_pool pool) {
    xmem_handle handle;
    uint32_t count;
    uint32_t recycled;
    EXPECT_OK(xmem_acquire(pool, 8, &handle));
    EXPECT_OK(xmem_share(pool, handle));
    EXPECT_OK(xmem_ref_count(pool, handle, &count));
    EXPECT(count == 2);
    EXPECT_OK(xmem_take(pool, handle, NULL));
    EXPECT_TEXT(xmem_take(pool, handle, NULL), XMEM_NO_REFERENCE,
                "the buffer at index 3 has 2 references, and none is in flight");
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_OK(xmem_hand_off(pool, handle));
    EXPECT_STATUS(xmem_hand_off(pool, handle), XMEM_STALE_HANDLE);
    EXPECT_OK(xmem_add_ref(pool, handle, &count));
    EXPECT(count == 2);
    EXPECT_OK(xmem_set_ref_count(pool, xmem_index(handle), 5));
    EXPECT_STATUS(xmem_set_ref_count(pool, handle, 65536), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_unref(pool, handle, &count));
    EXPECT(count == 4);
    EXPECT_OK(xmem_set_ref_count(pool, handle, 1));
    EXPECT_STATUS(xmem_release_buffer(pool, handle), XMEM_BUFFER_IN_USE);
    EXPECT_OK(xmem_try_release(pool, handle, &recycled));
    EXPECT(recycled == 0);
    EXPECT_OK(xmem_release_by_hand(pool, handle, &count));
    EXPECT(count == 0);
    EXPECT_STATUS(xmem_get(pool, handle, NULL), XMEM_NO_REFERENCE);
    EXPECT_OK(xmem_try_release(pool, handle, &recycled));
    EXPECT(recycled == 1);
    EXPECT_STATUS(xmem_try_release(pool, handle, &recycled), XMEM_STALE_HANDLE);
    EXPECT_OK(xmem_try_release(pool, xmem_index(handle), &recycled));
    EXPECT(recycled == 0);
    EXPECT_STATUS(xmem_release_buffer(pool, xmem_index(handle)), XMEM_BUFFER_NOT_FOUND);
    EXPECT_OK(xmem_ref_count(pool, xmem_index(handle), &count));
    EXPECT(count == 0);
}

static void check_descriptions(xmem_pool pool) {
    const uint64_t shape[2] = {3, 4};
    const uint64_t too_long[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t strides[2] = {-32, 8};
    xmem_description description;
    xmem_handle handle;
    description.size = sizeof description;
    EXPECT_OK(xmem_acquire(pool, 96, &handle));
    EXPECT_OK(xmem_get_description(pool, handle, &description));
    EXPECT(description.dtype == XMEM_DTYPE_UINT8 && description.shape_count == 1);
    EXPECT(description.shape[0] == 96 && description.strides[0] == 1);
    EXPECT(description.content_type[0] == 0 && description.producer[0] == 0);
    EXPECT_OK(xmem_set_dtype(pool, handle, XMEM_DTYPE_FLOAT64));
    EXPECT_STATUS(xmem_set_dtype(pool, handle, 11), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_set_shape(pool, handle, shape, 2));
    EXPECT_STATUS(xmem_set_shape(pool, handle, too_long, 9), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_set_shape(pool, handle, NULL, 2), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_set_timestamp(pool, handle, (uint64_t)1 << 53));
    EXPECT_STATUS(xmem_set_timestamp(pool, handle, UINT64_MAX), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_set_sequence(pool, handle, 12));
    EXPECT_OK(xmem_set_content_type(pool, handle, "exactly thirty-one bytes long.."));
    EXPECT_STATUS(xmem_set_content_type(pool, handle, "more than thirty-one bytes long.."),
                  XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_set_producer(pool, handle, "c"));
    EXPECT_OK(xmem_get_description(pool, handle, &description));
    EXPECT(description.dtype == XMEM_DTYPE_FLOAT64 && description.shape_count == 2);
    EXPECT(description.shape[0] == 3 && description.shape[1] == 4);
    EXPECT(description.stride_count == 2 && description.strides[0] == 32);
    EXPECT(description.timestamp == (uint64_t)1 << 53 && description.sequence == 12);
    EXPECT(strcmp(description.content_type, "exactly thirty-one bytes long..") == 0);
    EXPECT(strcmp(description.producer, "c") == 0);
    EXPECT_OK(xmem_set_strides(pool, handle, strides, 2));
    EXPECT_OK(xmem_set_producer(pool, handle, NULL));
    EXPECT_OK(xmem_get_description(pool, handle, &description));
    EXPECT(description.strides[0] == -32 && description.producer[0] == 0);
    description.size = 8;
    EXPECT_STATUS(xmem_get_description(pool, handle, &description), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_release(pool, handle));
    description.size = sizeof description;
    EXPECT_STATUS(xmem_get_description(pool, handle, &description), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_set_sequence(pool, handle, 1), XMEM_STALE_HANDLE);
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

static void check_waits(xmem_pool pool) {
    xmem_handle handles[4];
    xmem_handle handle = 99;
    for (int each = 0; each < 4; each++) EXPECT_OK(xmem_acquire(pool, 8, &handles[each]));
    EXPECT_STATUS(xmem_acquire_timed(pool, 8, 0, &handle), XMEM_TIMEOUT);
    EXPECT_STATUS(xmem_acquire_timed(pool, 10001, 0, &handle), XMEM_TOO_LARGE);

    /* A handler without SA_RESTART cuts system calls short; the wait has its whole time. */
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    const struct itimerval every = {{0, 7000}, {0, 7000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    EXPECT(setitimer(ITIMER_REAL, &every, NULL) == 0);
    const double start_ms = now_ms();
    EXPECT_STATUS(xmem_acquire_timed(pool, 8, 150, &handle), XMEM_TIMEOUT);
    EXPECT(now_ms() - start_ms >= 149);
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    EXPECT(signals > 0);
    EXPECT(handle == 99);

    EXPECT_OK(xmem_release(pool, handles[2]));
    EXPECT_OK(xmem_acquire_timed(pool, 8, XMEM_FOREVER, &handle));
    EXPECT(xmem_index(handle) == xmem_index(handles[2]));
    handles[2] = handle;
    EXPECT_OK(xmem_flush(pool));
    EXPECT_STATUS(xmem_acquire(pool, 8, &handle), XMEM_POOL_FLUSHING);
    EXPECT_STATUS(xmem_acquire_timed(pool, 8, XMEM_FOREVER, &handle), XMEM_POOL_FLUSHING);
    EXPECT_OK(xmem_unflush(pool));
    EXPECT_STATUS(xmem_acquire(pool, 8, &handle), XMEM_POOL_FULL);
    for (int each = 0; each < 4; each++) EXPECT_OK(xmem_release(pool, handles[each]));
}

static void check_maintenance(xmem_pool pool) {
    uint64_t bytes;
    EXPECT_OK(xmem_trim(pool, NULL));
    EXPECT_OK(xmem_preallocate(pool, 10000, 3, &bytes));
    EXPECT(bytes >= 30000);
    const uint64_t committed = bytes;
    EXPECT_OK(xmem_preallocate(pool, 10000, 3, &bytes));
    EXPECT(bytes == 0);
    EXPECT_STATUS(xmem_preallocate(pool, 10001, 1, NULL), XMEM_TOO_LARGE);

    xmem_pool_stats stats;
    xmem_handle handle;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_acquire(pool, 8, &handle));
    EXPECT_OK(xmem_share(pool, handle));
    EXPECT_OK(xmem_stats(pool, &stats));
    EXPECT(stats.capacity == 4 && stats.free == 3 && stats.used == 1 && stats.in_flight == 1);
    EXPECT(stats.committed_bytes == committed && stats.linked == 1 && stats.alive == 1);
    EXPECT(stats.timeouts == 2 && stats.acquired > stats.released && stats.flushing == 0);
    xmem_participant rows[2];
    uint32_t count;
    EXPECT_OK(xmem_participants(pool, NULL, sizeof rows[0], 0, &count));
    EXPECT(count == 0);
    EXPECT_OK(xmem_participants(pool, rows, sizeof rows[0], 2, &count));
    EXPECT(count == 1 && rows[0].holds == 1 && rows[0].alive == 1);
    EXPECT(strcmp(rows[0].name, "c") == 0);
    EXPECT_STATUS(xmem_participants(pool, rows, 8, 2, &count), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_unref(pool, handle, NULL));
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_OK(xmem_trim(pool, &bytes));
    EXPECT(bytes == committed);
    xmem_reclaim_report report;
    report.size = sizeof report;
    EXPECT_OK(xmem_reclaim(pool, &report));
    EXPECT(report.participants == 0 && report.references == 0 && report.deferred == 0);
    EXPECT_OK(xmem_reclaim(pool, NULL));
}

static const char *pool_name;

static void *be_another_thread(void *argument) {
    const xmem_pool pool = *(const xmem_pool *)argument;
    xmem_pool own;
    xmem_handle handle;
    char text[64];
    EXPECT_STATUS(xmem_acquire(pool, 8, &handle), XMEM_INVALID_ARGUMENT);
    xmem_error_text(text, sizeof text);
    EXPECT(strcmp(text, "another thread opened the pool") == 0);
    EXPECT_STATUS(xmem_close(pool), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_open(pool_name, NULL, &own));
    EXPECT_OK(xmem_acquire(own, 8, &handle));
    /* Ends without a close: its hold is given back by whoever needs it. */
    return NULL;
}

static void check_threads(xmem_pool pool) {
    pthread_t thread;
    xmem_handle handles[4];
    EXPECT(pthread_create(&thread, NULL, be_another_thread, (void *)&pool) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    for (int each = 0; each < 4; each++) {
        EXPECT_OK(xmem_acquire_timed(pool, 8, 10000, &handles[each]));
    }
    for (int each = 0; each < 4; each++) EXPECT_OK(xmem_release(pool, handles[each]));
}

/* Of a pool that this thread has open, and then of one that nobody has. */
static void check_pruning(const char *name) {
    uint32_t pruned = 99;
    xmem_pool pool;
    EXPECT_STATUS(xmem_prune(NULL, 0, &pruned), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_prune("a/b", 0, &pruned), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_prune(name, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_prune("no.such.pool", 0, &pruned), XMEM_POOL_NOT_FOUND);
    EXPECT(pruned == 99);
    EXPECT_OK(xmem_create(name, NULL, &pool));
    EXPECT_OK(xmem_prune(name, 0, &pruned));
    EXPECT(pruned == 0);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_prune(name, 1, &pruned));
    EXPECT(pruned == 1);
    EXPECT_OK(xmem_prune(name, 0, &pruned));
    EXPECT(pruned == 1);
    EXPECT_STATUS(xmem_prune(name, 0, &pruned), XMEM_POOL_NOT_FOUND);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    pool_name = argv[1];
    check_opening(pool_name);
    check_growth(pool_name);
    check_pruning(pool_name);
    xmem_options options = some_options();
    xmem_pool pool;
    EXPECT_OK(xmem_create(pool_name, &options, &pool));
    check_buffers(pool);
    check_references(pool);
    check_descriptions(pool);
    check_waits(pool);
    check_maintenance(pool);
    check_threads(pool);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_unlink(pool_name));
    EXPECT(strcmp(xmem_error_name(XMEM_POOL_FULL), "POOL_FULL") == 0);
    EXPECT(strcmp(xmem_error_name(0), "OK") == 0);
    EXPECT(strcmp(xmem_error_name(5), "UNKNOWN") == 0);
    EXPECT(xmem_error_errno() == 0);
    puts("as expected");
    return 0;
}
