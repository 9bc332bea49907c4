/* Calls each function of xmem.h for what its reference refuses: a pool that is not open, one of another
   thread, a stale handle, one out of range, a channel that is not open, no address for the result. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "xmem.h"

/* What a call of each kind is about. */
static xmem_pool pool;
static xmem_channel channel;
static uint64_t handle;

static xmem_handle got;
static uint32_t number;
static uint64_t bytes;
static void *address;
static size_t length;
static int32_t descriptor;
static const uint64_t shape[1] = {1};
static const int64_t strides[1] = {1};

/* Calls that work on a buffer that is held. */
#define OF_A_HOLD(DO)                                      \
    DO(xmem_release(pool, handle))                         \
    DO(xmem_data(pool, handle, NULL, NULL))                \
    DO(xmem_truncate(pool, handle, 0))                     \
    DO(xmem_share(pool, handle))                           \
    DO(xmem_hand_off(pool, handle))                        \
    DO(xmem_deliveries(pool, handle, &number))             \
    DO(xmem_request_number(pool, handle, &bytes))          \
    DO(xmem_reply(pool, handle, handle))                   \
    DO(xmem_refuse(pool, handle))                          \
    DO(xmem_window_open(pool, handle, &address, &length))  \
    DO(xmem_get_description(pool, handle, &description))   \
    DO(xmem_set_dtype(pool, handle, 0))                    \
    DO(xmem_set_timestamp(pool, handle, 0))                \
    DO(xmem_set_sequence(pool, handle, 0))                 \
    DO(xmem_set_shape(pool, handle, shape, 1))             \
    DO(xmem_set_strides(pool, handle, strides, 1))         \
    DO(xmem_set_content_type(pool, handle, "a"))           \
    DO(xmem_set_producer(pool, handle, "a"))

/* Calls that take a bare index as well. */
#define OF_A_BUFFER(DO)                            \
    DO(xmem_get(pool, handle, NULL))               \
    DO(xmem_take(pool, handle, NULL))              \
    DO(xmem_add_ref(pool, handle, NULL))           \
    DO(xmem_unref(pool, handle, NULL))             \
    DO(xmem_release_by_hand(pool, handle, NULL))   \
    DO(xmem_set_ref_count(pool, handle, 1))        \
    DO(xmem_ref_count(pool, handle, &number))      \
    DO(xmem_try_release(pool, handle, NULL))       \
    DO(xmem_release_buffer(pool, handle))

/* Calls that send a buffer. */
#define OF_A_SEND(DO)                                  \
    DO(xmem_send(pool, channel, handle, NULL))         \
    DO(xmem_try_send(pool, channel, handle))           \
    DO(xmem_send_timed(pool, channel, handle, 0))      \
    DO(xmem_send_slice(pool, channel, handle, 0, &number)) \
    DO(xmem_send_next(pool, channel, handle, 1, &number))  \
    DO(xmem_request(pool, channel, handle, 0, &got))

#define OF_A_CHANNEL(DO)                                   \
    DO(xmem_channel_leave(pool, channel))                  \
    DO(xmem_channel_close(pool, channel))                  \
    DO(xmem_get_channel_info(pool, channel, &info))        \
    DO(xmem_receive(pool, channel, &got))                  \
    DO(xmem_receive_timed(pool, channel, 0, &got))         \
    DO(xmem_receive_slice(pool, channel, 0, &got))         \
    DO(xmem_receive_next(pool, channel, 1, &got))          \
    DO(xmem_wait_end(pool, channel, XMEM_END_RECEIVING))   \
    DO(xmem_loop_open(pool, channel, XMEM_END_RECEIVING, &descriptor)) \
    DO(xmem_loop_arm(pool, channel, XMEM_END_RECEIVING, &number))      \
    DO(xmem_loop_rest(pool, channel, XMEM_END_RECEIVING))              \
    DO(xmem_get_channel_stats(pool, channel, &statistics))

#define OF_A_POOL(DO)                                                                  \
    DO(xmem_close(pool))                                                               \
    DO(xmem_unlink_pool(pool))                                                         \
    DO(xmem_info(pool, &pool_info))                                                    \
    DO(xmem_acquire(pool, 1, &got))                                                    \
    DO(xmem_acquire_timed(pool, 1, 0, &got))                                           \
    DO(xmem_acquire_slice(pool, 1, 0, &got))                                           \
    DO(xmem_acquire_next(pool, 1, 0, &got))                                            \
    DO(xmem_wait_end(pool, 0, 0))                                                      \
    DO(xmem_loop_open(pool, 0, 0, &descriptor))                                        \
    DO(xmem_loop_arm(pool, 0, 0, &number))                                             \
    DO(xmem_loop_rest(pool, 0, 0))                                                     \
    DO(xmem_channel_open(pool, "other", NULL, &opened))                                \
    DO(xmem_preallocate(pool, 1, 1, NULL))                                             \
    DO(xmem_trim(pool, NULL))                                                          \
    DO(xmem_flush(pool))                                                               \
    DO(xmem_unflush(pool))                                                             \
    DO(xmem_reclaim(pool, NULL))                                                       \
    DO(xmem_stats(pool, &pool_stats))                                                  \
    DO(xmem_participants(pool, NULL, sizeof(xmem_participant), 0, &number))            \
    DO(xmem_channels(pool, NULL, sizeof(xmem_channel_stats), 0, &number))              \
    DO(xmem_subscribers(pool, 0, NULL, sizeof(xmem_subscriber), 0, &number))

static xmem_description description = {.size = sizeof description};
static xmem_channel_info info = {.size = sizeof info};
static xmem_channel_stats statistics = {.size = sizeof statistics};
static xmem_pool_info pool_info = {.size = sizeof pool_info};
static xmem_pool_stats pool_stats = {.size = sizeof pool_stats};
static xmem_channel opened;
static const char *pool_name;

#define IS_CLOSED(call) EXPECT_STATUS(call, XMEM_POOL_CLOSED);
#define IS_INVALID(call) EXPECT_STATUS(call, XMEM_INVALID_ARGUMENT);
#define IS_STALE(call) EXPECT_STATUS(call, XMEM_STALE_HANDLE);
#define IS_UNKNOWN(call) EXPECT_STATUS(call, XMEM_BUFFER_NOT_FOUND);
#define IS_NO_CHANNEL(call) EXPECT_STATUS(call, XMEM_CHANNEL_CLOSED);

#define OF_ALL(DO) OF_A_POOL(DO) OF_A_CHANNEL(DO) OF_A_SEND(DO) OF_A_BUFFER(DO) OF_A_HOLD(DO)

/* Each call is of a pool that this thread has not open. */
static void *use_from_another_thread(void *argument) {
    (void)argument;
    OF_ALL(IS_INVALID)
    const xmem_source source = {pool, channel};
    IS_INVALID(xmem_wait_any(&source, 1, 0, &number))
    IS_INVALID(xmem_wait_any_slice(&source, 1, 0, &number))
    return NULL;
}

static void check_addresses(void) {
    IS_INVALID(xmem_info(pool, NULL))
    IS_INVALID(xmem_stats(pool, NULL))
    IS_INVALID(xmem_acquire(pool, 1, NULL))
    IS_INVALID(xmem_acquire_timed(pool, 1, 0, NULL))
    IS_INVALID(xmem_channel_open(pool, "other", NULL, NULL))
    IS_INVALID(xmem_get_channel_info(pool, channel, NULL))
    IS_INVALID(xmem_get_channel_stats(pool, channel, NULL))
    IS_INVALID(xmem_receive(pool, channel, NULL))
    IS_INVALID(xmem_receive_timed(pool, channel, 0, NULL))
    IS_INVALID(xmem_ref_count(pool, handle, NULL))
    IS_INVALID(xmem_get_description(pool, handle, NULL))
    IS_INVALID(xmem_participants(pool, NULL, sizeof(xmem_participant), 0, NULL))
    IS_INVALID(xmem_channels(pool, NULL, sizeof(xmem_channel_stats), 0, NULL))
    IS_INVALID(xmem_subscribers(pool, 0, NULL, sizeof(xmem_subscriber), 0, NULL))
    IS_INVALID(xmem_create(NULL, NULL, &pool))
    IS_INVALID(xmem_open("a", NULL, NULL))
    IS_INVALID(xmem_open_or_create(NULL, NULL, &pool))
    IS_INVALID(xmem_observe(NULL, NULL, &pool))
    IS_INVALID(xmem_unlink(NULL))
}

/* What only languages with an event loop, or with signal handlers of their own, need. */
static void check_slices(void) {
    const xmem_source source = {pool, channel};
    const xmem_source gone[2] = {{0, 0}, {pool, 12345}};
    EXPECT_STATUS(xmem_wait_any_slice(&gone[0], 1, 0, &number), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_wait_any_slice(&gone[1], 1, 0, &number), XMEM_CHANNEL_CLOSED);
    EXPECT_STATUS(xmem_wait_any_slice(&source, 1, 1, &number), XMEM_TIMEOUT);
    EXPECT_STATUS(xmem_receive_slice(pool, channel, 1, &got), XMEM_TIMEOUT);
    EXPECT_OK(xmem_receive_slice(pool, channel, UINT64_MAX, &got));
    EXPECT(got == 0);
    EXPECT_OK(xmem_wait_end(pool, channel, XMEM_END_RECEIVING));
    EXPECT_OK(xmem_receive_next(pool, channel, 1, &got));
    EXPECT(got == 0);
    EXPECT_STATUS(xmem_acquire_slice(pool, 101, 0, &got), XMEM_TOO_LARGE);
    EXPECT_STATUS(xmem_acquire_next(pool, 101, 0, &got), XMEM_TOO_LARGE);
    EXPECT_OK(xmem_flush(pool));
    EXPECT_STATUS(xmem_acquire_slice(pool, 1, 0, &got), XMEM_POOL_FLUSHING);
    EXPECT_STATUS(xmem_acquire_next(pool, 1, 0, &got), XMEM_POOL_FLUSHING);
    EXPECT_OK(xmem_unflush(pool));
    IS_INVALID(xmem_window_detach(NULL, 0, NULL))
    IS_INVALID(xmem_window_close(NULL, 1))

    /* Two buffers fill a channel of two places. */
    const xmem_channel_options two = {.size = sizeof two, .capacity = 2};
    xmem_channel narrow;
    EXPECT_OK(xmem_channel_open(pool, "narrow", &two, &narrow));
    const uint64_t soon = xmem_now_ns() + 60000000000;
    xmem_handle sent;
    EXPECT_OK(xmem_acquire_slice(pool, 1, soon, &sent));
    EXPECT(sent != 0);
    EXPECT_OK(xmem_window_open(pool, sent, &address, &length));
    EXPECT(length >= 100 && *(volatile char *)address == *(volatile char *)address);
    void *moved;
    EXPECT_OK(xmem_window_detach(address, length, &moved));
    if (moved != NULL) EXPECT_OK(xmem_window_close(moved, length));
    EXPECT_OK(xmem_window_close(address, length));
    EXPECT_OK(xmem_send_slice(pool, narrow, sent, soon, &number));
    EXPECT(number == 1);
    EXPECT_OK(xmem_loop_open(pool, 0, 0, &descriptor));
    EXPECT_OK(xmem_loop_arm(pool, 0, 0, &number));
    EXPECT(number == 1);
    EXPECT_OK(xmem_acquire_next(pool, 1, 0, &sent));
    EXPECT(sent != 0);
    EXPECT_OK(xmem_loop_rest(pool, 0, 0));
    EXPECT_OK(xmem_send_next(pool, narrow, sent, 1, &number));
    EXPECT(number == 1);
    EXPECT_OK(xmem_acquire(pool, 1, &sent));
    EXPECT_OK(xmem_send_next(pool, narrow, sent, 1, &number));
    EXPECT(number == 0);
    EXPECT_STATUS(xmem_send_slice(pool, narrow, sent, 1, &number), XMEM_TIMEOUT);
    /* Two are in the channel, this program holds one from the start. */
    EXPECT_STATUS(xmem_acquire_slice(pool, 1, 1, &got), XMEM_TIMEOUT);
    EXPECT_OK(xmem_release(pool, sent));
    EXPECT_OK(xmem_wait_any_slice(&(xmem_source){pool, narrow}, 1, soon, &number));
    EXPECT(number == 0);
    for (int each = 0; each < 2; each++) {
        EXPECT_OK(xmem_receive_slice(pool, narrow, soon, &got));
        EXPECT_OK(xmem_release(pool, got));
    }
    EXPECT_OK(xmem_channel_leave(pool, narrow));
    close(descriptor);
}

/* A size that no version of a struct had. */
static void check_sizes(void) {
    xmem_reclaim_report report = {.size = 8};
    xmem_pool_stats short_stats = {.size = 8};
    IS_INVALID(xmem_reclaim(pool, &report))
    IS_INVALID(xmem_stats(pool, &short_stats))
}

static void check_names(const char *name) {
    xmem_pool other;
    EXPECT_STATUS(xmem_create(name, NULL, &other), XMEM_POOL_EXISTS);
    EXPECT_STATUS(xmem_open("no.such.pool", NULL, &other), XMEM_POOL_NOT_FOUND);
    EXPECT_STATUS(xmem_observe("no.such.pool", NULL, &other), XMEM_POOL_NOT_FOUND);
    EXPECT_STATUS(xmem_unlink("no.such.pool"), XMEM_POOL_NOT_FOUND);
    xmem_options more = {.size = sizeof more, .capacity = 5};
    EXPECT_STATUS(xmem_open_or_create(name, &more, &other), XMEM_OPTIONS_MISMATCH);
}

/* An index names a buffer, and no hold: also 0, which says that nothing was received. */
static void check_bare_indexes(uint32_t local_cache) {
    const xmem_options options = {.size = sizeof options, .local_cache = local_cache};
    xmem_pool beside;
    EXPECT_OK(xmem_open(pool_name, &options, &beside));
    xmem_handle held;
    EXPECT_OK(xmem_acquire(pool, 1, &held));
    handle = xmem_index(held);
    for (int references = 1; references <= 2; references++) {
        OF_A_HOLD(IS_STALE)
        OF_A_SEND(IS_STALE)
        EXPECT_OK(xmem_get(pool, handle, NULL));
    }
    for (int references = 3; references > 0; references--) EXPECT_OK(xmem_release(pool, held));
    EXPECT_OK(xmem_close(beside));
}

/* One buffer with all the references that there can be. */
static void check_references(void) {
    handle = got;
    EXPECT_OK(xmem_set_ref_count(pool, handle, XMEM_LIMIT_REFERENCES));
    EXPECT_STATUS(xmem_get(pool, handle, NULL), XMEM_TOO_MANY_REFERENCES);
    EXPECT_STATUS(xmem_share(pool, handle), XMEM_TOO_MANY_REFERENCES);
    EXPECT_STATUS(xmem_add_ref(pool, handle, NULL), XMEM_TOO_MANY_REFERENCES);
    EXPECT_OK(xmem_set_ref_count(pool, handle, 1));
    EXPECT_STATUS(xmem_take(pool, handle, NULL), XMEM_NO_REFERENCE);
    EXPECT_STATUS(xmem_unref(pool, handle, NULL), XMEM_NO_REFERENCE);
    EXPECT_STATUS(xmem_release_by_hand(pool, handle, NULL), XMEM_NO_REFERENCE);
    EXPECT_STATUS(xmem_release_buffer(pool, handle), XMEM_BUFFER_IN_USE);
    /* Subscribers of a broadcast read one buffer; its count is full again. */
    xmem_channel_options options = {.size = sizeof options, .mode = XMEM_MODE_BROADCAST};
    xmem_channel news;
    EXPECT_OK(xmem_channel_open(pool, "news", &options, &news));
    EXPECT_OK(xmem_get(pool, handle, NULL));
    EXPECT_OK(xmem_send(pool, news, handle, NULL));
    EXPECT_OK(xmem_set_ref_count(pool, handle, XMEM_LIMIT_REFERENCES));
    EXPECT_STATUS(xmem_receive(pool, news, &got), XMEM_TOO_MANY_REFERENCES);
    EXPECT_STATUS(xmem_receive_timed(pool, news, 0, &got), XMEM_TOO_MANY_REFERENCES);
    EXPECT_STATUS(xmem_receive_slice(pool, news, 0, &got), XMEM_TOO_MANY_REFERENCES);
    EXPECT_STATUS(xmem_receive_next(pool, news, 1, &got), XMEM_TOO_MANY_REFERENCES);
    EXPECT_OK(xmem_set_ref_count(pool, handle, 2));
    EXPECT_OK(xmem_channel_leave(pool, news));
    EXPECT_OK(xmem_hand_off(pool, handle));
    EXPECT_OK(xmem_release_by_hand(pool, handle, NULL));
    EXPECT_OK(xmem_release_buffer(pool, handle));
}

/* What somebody received from a channel that redelivers is sent as it was received, or not at all. */
static void check_redelivery(void) {
    xmem_channel_options options = {.size = sizeof options, .redeliver = 1};
    xmem_channel jobs;
    xmem_pool own;
    xmem_channel again;
    EXPECT_OK(xmem_channel_open(pool, "jobs", &options, &jobs));
    EXPECT_OK(xmem_acquire(pool, 1, &got));
    EXPECT_OK(xmem_send(pool, jobs, got, NULL));
    EXPECT_OK(xmem_receive(pool, jobs, &got));
    /* Another open of the same pool has a hold of its own, which is no message. */
    EXPECT_OK(xmem_open(pool_name, NULL, &own));
    EXPECT_OK(xmem_channel_open(own, "jobs", NULL, &again));
    EXPECT_OK(xmem_get(own, got, NULL));
    EXPECT_STATUS(xmem_send(own, again, got, NULL), XMEM_BUFFER_IN_USE);
    EXPECT_STATUS(xmem_try_send(own, again, got), XMEM_BUFFER_IN_USE);
    EXPECT_STATUS(xmem_send_timed(own, again, got, 0), XMEM_BUFFER_IN_USE);
    EXPECT_STATUS(xmem_request(own, again, got, 0, &got), XMEM_BUFFER_IN_USE);
    EXPECT_STATUS(xmem_send_slice(own, again, got, 0, &number), XMEM_BUFFER_IN_USE);
    EXPECT_STATUS(xmem_send_next(own, again, got, 1, &number), XMEM_BUFFER_IN_USE);
    EXPECT_OK(xmem_close(own));
    EXPECT_OK(xmem_release(pool, got));
    EXPECT_OK(xmem_channel_leave(pool, jobs));
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    pool_name = argv[1];
    const xmem_options options = {.size = sizeof options, .capacity = 4, .buffer_size = 100};
    xmem_pool own;
    xmem_channel own_channel;
    EXPECT_OK(xmem_create(pool_name, &options, &own));
    EXPECT_OK(xmem_channel_open(own, "a", NULL, &own_channel));
    EXPECT_OK(xmem_acquire(own, 1, &got));
    handle = got;

    OF_ALL(IS_CLOSED)
    pool = own;
    channel = own_channel;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, use_from_another_thread, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    check_addresses();
    check_sizes();
    check_slices();
    check_names(pool_name);
    channel = 12345;
    OF_A_CHANNEL(IS_NO_CHANNEL)
    OF_A_SEND(IS_NO_CHANNEL)
    channel = own_channel;
    EXPECT_STATUS(xmem_subscribers(pool, 99, NULL, sizeof(xmem_subscriber), 0, &number),
                  XMEM_CHANNEL_CLOSED);

    EXPECT_OK(xmem_release(pool, handle));
    OF_A_HOLD(IS_STALE)
    OF_A_BUFFER(IS_STALE)
    OF_A_SEND(IS_STALE)
    handle = UINT64_MAX;
    OF_A_HOLD(IS_INVALID)
    OF_A_BUFFER(IS_INVALID)
    OF_A_SEND(IS_INVALID)
    handle = 4;
    OF_A_BUFFER(IS_UNKNOWN)
    check_bare_indexes(0);

    EXPECT_OK(xmem_acquire(pool, 1, &got));
    check_references();
    check_bare_indexes(1);
    check_redelivery();
    EXPECT_OK(xmem_stats(pool, &pool_stats));
    EXPECT(pool_stats.free == 4);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_unlink(pool_name));
    puts("as expected");
    return 0;
}
