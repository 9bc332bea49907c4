/* Calls every function of xmem.h for windows, for waits by slices and for event loops, rightly and
   wrongly, and ends with 1 at the first surprise. */

#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "expect.h"
#include "xmem.h"

#define SLICES_MAX 1000

static const char *pool_name;

static xmem_pool open_pool(void) {
    xmem_options options;
    xmem_pool pool;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 2;
    options.buffer_size = 5000;
    EXPECT_OK(xmem_open_or_create(pool_name, &options, &pool));
    return pool;
}

static xmem_handle acquire(xmem_pool pool, uint32_t size) {
    xmem_handle handle;
    EXPECT_OK(xmem_acquire(pool, size, &handle));
    return handle;
}

static xmem_channel open_channel(xmem_pool pool, uint32_t sends_only) {
    xmem_channel_options options;
    xmem_channel channel;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 1;
    options.sends_only = sends_only;
    EXPECT_OK(xmem_channel_open(pool, "c", &options, &channel));
    return channel;
}

static uint64_t in_ms(uint64_t milliseconds) {
    return xmem_now_ns() + milliseconds * 1000000;
}

static void check_windows(void) {
    xmem_pool pool = open_pool();
    const xmem_handle handle = acquire(pool, 5000);
    void *found, *data, *other, *moved;
    unsigned char *bytes, *window;
    size_t length, again;
    EXPECT_OK(xmem_data(pool, handle, &found, NULL));
    EXPECT_OK(xmem_window_open(pool, handle, &data, &length));
    EXPECT_OK(xmem_window_open(pool, handle, &other, &again));
    bytes = found;
    window = data;
    EXPECT(length == again && length >= 5000 && data != found && data != other);
    bytes[4999] = 7;
    EXPECT(window[4999] == 7);
    EXPECT_OK(xmem_window_detach(data, length, &moved));
    EXPECT(window[4999] == 0 && bytes[4999] == 7);
    window[4999] = 8;
    EXPECT(bytes[4999] == 7);
    if (moved != NULL) {
        EXPECT(moved != data && ((unsigned char *)moved)[4999] == 7);
        EXPECT_OK(xmem_window_close(moved, length));
    }
    EXPECT_STATUS(xmem_window_open(pool, handle, NULL, &length), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_open(pool, handle, &data, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_open(pool, handle + 1, &found, &again), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_window_detach(window, length, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_detach(window + 1, length, &moved), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_close(NULL, length), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_close(window, length + 1), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_window_close(window, 0), XMEM_INVALID_ARGUMENT);
    EXPECT_OK(xmem_close(pool));
    EXPECT_STATUS(xmem_window_open(pool, handle, &found, &again), XMEM_POOL_CLOSED);
    /* Both stay, one to the buffer and one to nothing. */
    EXPECT(window[4999] == 8 && ((unsigned char *)other)[4999] == 7);
    EXPECT_OK(xmem_window_close(window, length));
    EXPECT_OK(xmem_window_close(other, length));
}

static void check_slices(xmem_pool pool, xmem_channel channel) {
    const xmem_handle first = acquire(pool, 1), second = acquire(pool, 2);
    const xmem_source source = {pool, channel};
    xmem_handle handle = 1;
    uint32_t sent = 1, place = 9;
    int slices;
    /* Each slice brings nothing, and the last one says that the time passed. */
    const uint64_t end_ns = in_ms(200);
    for (slices = 0; slices < SLICES_MAX; slices++) {
        const int32_t status = xmem_acquire_slice(pool, 1, end_ns, &handle);
        if (status == XMEM_TIMEOUT) break;
        EXPECT_OK(status);
        EXPECT(handle == 0);
    }
    EXPECT(slices > 0 && slices < SLICES_MAX && xmem_now_ns() >= end_ns);
    EXPECT_OK(xmem_acquire_slice(pool, 1, UINT64_MAX, &handle));
    EXPECT(handle == 0);
    EXPECT_OK(xmem_wait_end(pool, 0, 0));
    EXPECT_OK(xmem_wait_end(pool, 0, 0));
    EXPECT_OK(xmem_release(pool, second));
    EXPECT_OK(xmem_acquire_slice(pool, 2, UINT64_MAX, &handle));
    EXPECT(handle != 0);
    EXPECT_STATUS(xmem_acquire_slice(pool, 6000, UINT64_MAX, &handle), XMEM_TOO_LARGE);
    EXPECT_STATUS(xmem_acquire_slice(pool, 1, 0, NULL), XMEM_INVALID_ARGUMENT);

    xmem_handle received = 1;
    EXPECT_OK(xmem_receive_slice(pool, channel, UINT64_MAX, &received));
    EXPECT(received == 0);
    EXPECT_OK(xmem_wait_end(pool, channel, XMEM_END_RECEIVING));
    EXPECT_OK(xmem_wait_any_slice(&source, 1, UINT64_MAX, &place));
    EXPECT(place == 1);
    EXPECT_OK(xmem_send_slice(pool, channel, first, UINT64_MAX, &sent));
    EXPECT(sent == 1);
    EXPECT_OK(xmem_send_slice(pool, channel, handle, UINT64_MAX, &sent));
    EXPECT(sent == 0);
    EXPECT_OK(xmem_wait_end(pool, channel, XMEM_END_SENDING));
    EXPECT_STATUS(xmem_send_slice(pool, channel, handle, in_ms(0), &sent), XMEM_TIMEOUT);
    EXPECT_OK(xmem_wait_any_slice(&source, 1, UINT64_MAX, &place));
    EXPECT(place == 0);
    EXPECT_OK(xmem_receive_slice(pool, channel, UINT64_MAX, &received));
    EXPECT(received == first);
    EXPECT_STATUS(xmem_receive_slice(pool, channel, in_ms(0), &received), XMEM_TIMEOUT);
    EXPECT_STATUS(xmem_wait_any_slice(&source, 1, in_ms(0), &place), XMEM_TIMEOUT);
    EXPECT_STATUS(xmem_wait_any_slice(&source, 0, 0, &place), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any_slice(NULL, 1, 0, &place), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_any_slice(&source, 1, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_receive_slice(pool, channel, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_send_slice(pool, channel, handle, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_end(pool, channel, 0), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_end(pool, channel, XMEM_END_CLOSING), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_wait_end(pool, channel + 1, XMEM_END_SENDING), XMEM_CHANNEL_CLOSED);
    EXPECT_OK(xmem_release(pool, first));
    EXPECT_OK(xmem_release(pool, handle));
}

static volatile sig_atomic_t handled;

static void handle_alarm(int number) {
    (void)number;
    handled++;
}

/* A signal ends a slice at once, so that whoever called it can look at what the handler did. */
static void check_signal(xmem_pool pool) {
    const xmem_handle first = acquire(pool, 1), second = acquire(pool, 1);
    const struct itimerval soon = {{0, 0}, {0, 20000}};
    struct sigaction action;
    xmem_handle handle;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle_alarm;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    while (!handled) {
        EXPECT_OK(xmem_acquire_slice(pool, 1, UINT64_MAX, &handle));
        EXPECT(handle == 0);
    }
    EXPECT_OK(xmem_wait_end(pool, 0, 0));
    EXPECT_OK(xmem_release(pool, first));
    EXPECT_OK(xmem_release(pool, second));
}

/* Waits until it is readable, and reads away what made it so. */
static void await_readable(int fd) {
    struct pollfd polled = {fd, POLLIN, 0};
    char bytes[64];
    EXPECT(poll(&polled, 1, 60000) == 1);
    EXPECT(read(fd, bytes, sizeof bytes) > 0);
}

static int loop_at(xmem_pool pool, xmem_channel channel, uint32_t end) {
    int32_t fd = -1, again = -1;
    EXPECT_OK(xmem_loop_open(pool, channel, end, &fd));
    EXPECT_OK(xmem_loop_open(pool, channel, end, &again));
    EXPECT(fd >= 0 && fd == again);
    return fd;
}

static void arm(xmem_pool pool, xmem_channel channel, uint32_t end) {
    uint32_t armed = 9;
    EXPECT_OK(xmem_loop_arm(pool, channel, end, &armed));
    EXPECT(armed == 1);
}

/* Another thread of another participant does it, after a while. */
static void *release_late(void *unused) {
    const struct timespec pause = {0, 20000000};
    const xmem_pool pool = open_pool();
    const xmem_channel channel = open_channel(pool, 0);
    xmem_handle handle;
    (void)unused;
    EXPECT_OK(xmem_acquire_timed(pool, 1, 60000, &handle));
    nanosleep(&pause, NULL);
    EXPECT_OK(xmem_release(pool, handle));
    EXPECT_OK(xmem_receive_timed(pool, channel, 60000, &handle));
    nanosleep(&pause, NULL);
    EXPECT_OK(xmem_send_timed(pool, channel, handle, 60000));
    nanosleep(&pause, NULL);
    EXPECT_OK(xmem_channel_close(pool, channel));
    EXPECT_OK(xmem_close(pool));
    return NULL;
}

static uint64_t closed_in(xmem_pool pool, xmem_channel channel) {
    xmem_channel_stats stats;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_get_channel_stats(pool, channel, &stats));
    return stats.closed;
}

static void check_loops(xmem_pool pool, xmem_channel channel) {
    pthread_t thread;
    xmem_handle held = acquire(pool, 1), handle = 0;
    uint32_t sent = 0;
    const int buffers = loop_at(pool, 0, 0);
    const int room = loop_at(pool, channel, XMEM_END_SENDING);
    const int items = loop_at(pool, channel, XMEM_END_RECEIVING);
    const int closing = loop_at(pool, channel, XMEM_END_CLOSING);
    xmem_pool_stats stats;
    stats.size = sizeof stats;
    EXPECT(pthread_create(&thread, NULL, release_late, NULL) == 0);
    do EXPECT_OK(xmem_stats(pool, &stats));
    while (stats.free > 0);

    const uint64_t since_ns = xmem_now_ns();
    for (uint64_t waited_ns = 0; handle == 0; waited_ns = xmem_now_ns() - since_ns) {
        arm(pool, 0, 0);
        EXPECT_OK(xmem_acquire_next(pool, 1, waited_ns, &handle));
        if (handle == 0) await_readable(buffers);
    }
    EXPECT_OK(xmem_loop_rest(pool, 0, 0));
    EXPECT_OK(xmem_send_next(pool, channel, held, 1, &sent));
    EXPECT(sent == 1);
    for (sent = 0; sent == 0;) {
        arm(pool, channel, XMEM_END_SENDING);
        EXPECT_OK(xmem_send_next(pool, channel, handle, 0, &sent));
        if (sent == 0) await_readable(room);
    }
    EXPECT_OK(xmem_loop_rest(pool, channel, XMEM_END_SENDING));
    for (int received = 0; received < 2; received++) {
        for (handle = 0; handle == 0;) {
            arm(pool, channel, XMEM_END_RECEIVING);
            EXPECT_OK(xmem_receive_next(pool, channel, 0, &handle));
            if (handle == 0) await_readable(items);
        }
        EXPECT_OK(xmem_release(pool, handle));
    }
    EXPECT_OK(xmem_loop_rest(pool, channel, XMEM_END_RECEIVING));
    arm(pool, channel, XMEM_END_CLOSING);
    while (!closed_in(pool, channel)) {
        await_readable(closing);
        arm(pool, channel, XMEM_END_CLOSING);
    }
    EXPECT_OK(xmem_loop_rest(pool, channel, XMEM_END_CLOSING));
    EXPECT_STATUS(xmem_receive_next(pool, channel, 1, &handle), XMEM_CHANNEL_CLOSED);
    EXPECT(pthread_join(thread, NULL) == 0);
    close(buffers);
    close(room);
    close(items);
    close(closing);
}

static void check_mistakes(xmem_pool pool, xmem_channel channel) {
    const xmem_channel sender = open_channel(pool, 1);
    int32_t fd;
    uint32_t armed;
    xmem_handle handle;
    EXPECT_STATUS(xmem_loop_open(pool, channel, 0, &fd), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_open(pool, channel, 4, &fd), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_open(pool, 0, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_open(pool, sender, XMEM_END_RECEIVING, &fd), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_open(pool, channel + 1, XMEM_END_SENDING, &fd), XMEM_CHANNEL_CLOSED);
    EXPECT_STATUS(xmem_loop_arm(pool, 0, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_arm(pool, sender, XMEM_END_SENDING, &armed), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_loop_rest(pool, channel, 9), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_acquire_next(pool, 1, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_acquire_next(pool, 6000, 0, &handle), XMEM_TOO_LARGE);
    EXPECT_STATUS(xmem_receive_next(pool, sender, 1, &handle), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_receive_next(pool, channel, 1, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_send_next(pool, channel, 3, 1, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_send_next(pool, channel, 3, 1, &armed), XMEM_STALE_HANDLE);
    EXPECT_OK(xmem_channel_leave(pool, sender));
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    pool_name = argv[1];
    check_windows();
    const xmem_pool pool = open_pool();
    const xmem_channel channel = open_channel(pool, 0);
    check_mistakes(pool, channel);
    check_slices(pool, channel);
    check_signal(pool);
    check_loops(pool, channel);
    EXPECT_OK(xmem_close(pool));
    EXPECT_STATUS(xmem_loop_arm(pool, 0, 0, &(uint32_t){0}), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_wait_end(pool, 0, 0), XMEM_POOL_CLOSED);
    uint32_t pruned = 9;
    EXPECT_OK(xmem_prune(pool_name, 1, &pruned));
    EXPECT(pruned == 1);
    EXPECT_OK(xmem_prune(pool_name, 0, &pruned));
    EXPECT_STATUS(xmem_prune(pool_name, 0, &pruned), XMEM_POOL_NOT_FOUND);
    EXPECT_STATUS(xmem_prune(pool_name, 0, NULL), XMEM_INVALID_ARGUMENT);
    puts("as expected");
    return 0;
}
