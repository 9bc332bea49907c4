/* Asks and answers requests: "check NAME" calls each function rightly and wrongly, "answer NAME"
   answers until the channel is closed, "ask NAME TIMES BYTE" asks. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "expect.h"
#include "xmem.h"

static const char *pool_name;

static xmem_channel jobs_of(xmem_pool pool) {
    xmem_channel jobs;
    EXPECT_OK(xmem_channel_open(pool, "jobs", NULL, &jobs));
    return jobs;
}

static xmem_handle filled(xmem_pool pool, unsigned char byte) {
    xmem_handle handle;
    void *data;
    EXPECT_OK(xmem_acquire_timed(pool, 8, 10000, &handle));
    EXPECT_OK(xmem_data(pool, handle, &data, NULL));
    memset(data, byte, 8);
    return handle;
}

static unsigned char first_of(xmem_pool pool, xmem_handle handle) {
    void *data;
    EXPECT_OK(xmem_data(pool, handle, &data, NULL));
    return *(unsigned char *)data;
}

/* The status of a request, and the first byte of its reply. */
static int32_t ask(xmem_pool pool, xmem_channel jobs, unsigned char byte, uint64_t timeout_ms,
                   unsigned char *answer) {
    xmem_handle reply = 99;
    const xmem_handle request = filled(pool, byte);
    const int32_t status = xmem_request(pool, jobs, request, timeout_ms, &reply);
    note_status("xmem_request()", status);
    if (status != XMEM_OK) {
        EXPECT(reply == 99);
        return status;
    }
    uint64_t number = 99;
    EXPECT_OK(xmem_request_number(pool, reply, &number));
    EXPECT(number == 0);
    *answer = first_of(pool, reply);
    EXPECT_OK(xmem_release(pool, reply));
    return status;
}

/* With the first byte, plus one. 100: refuses. 101: keeps the request. 102: with the request itself.
   103: lets go of it without a word. 104: late. */
static void answer_one(xmem_pool pool, xmem_handle request) {
    xmem_handle reply = request;
    void *data;
    const unsigned char first = first_of(pool, request);
    if (first == 100) {
        EXPECT_OK(xmem_refuse(pool, request));
        return;
    }
    if (first == 101) return;
    if (first == 103) {
        EXPECT_OK(xmem_release(pool, request));
        return;
    }
    if (first == 104) {
        const struct timespec a_while = {0, 100000000};
        nanosleep(&a_while, NULL);
    }
    if (first != 102) reply = filled(pool, 0);
    EXPECT_OK(xmem_data(pool, reply, &data, NULL));
    *(unsigned char *)data = (unsigned char)(first + 1);
    EXPECT_OK(xmem_reply(pool, request, reply));
    EXPECT_STATUS(xmem_reply(pool, request, reply), XMEM_STALE_HANDLE);
}

static void answer_all(void) {
    xmem_pool pool;
    EXPECT_OK(xmem_open(pool_name, NULL, &pool));
    const xmem_channel jobs = jobs_of(pool);
    puts("ready");
    fflush(stdout);
    while (1) {
        xmem_handle request;
        uint64_t number;
        const int32_t status = xmem_receive_timed(pool, jobs, XMEM_FOREVER, &request);
        if (status == XMEM_CHANNEL_CLOSED) break;
        EXPECT_OK(status);
        EXPECT_OK(xmem_request_number(pool, request, &number));
        EXPECT(number > 0);
        if (first_of(pool, request) == 101) {
            puts("has it");
            fflush(stdout);
        }
        answer_one(pool, request);
    }
    EXPECT_OK(xmem_close(pool));
}

static void ask_all(int times, unsigned char byte) {
    xmem_pool pool;
    EXPECT_OK(xmem_open(pool_name, NULL, &pool));
    const xmem_channel jobs = jobs_of(pool);
    unsigned char answer = 0;
    for (int each = 0; each < times; each++) {
        const int32_t status = ask(pool, jobs, byte, 10000, &answer);
        if (status != XMEM_OK) puts(xmem_error_name(status));
        else printf("%d\n", answer);
    }
    EXPECT_OK(xmem_close(pool));
}

static void *answer_on_a_thread(void *argument) {
    (void)argument;
    xmem_pool pool;
    EXPECT_OK(xmem_open(pool_name, NULL, &pool));
    const xmem_channel jobs = jobs_of(pool);
    xmem_handle request;
    while (xmem_receive_timed(pool, jobs, XMEM_FOREVER, &request) == XMEM_OK)
        answer_one(pool, request);
    EXPECT_OK(xmem_close(pool));
    return NULL;
}

static uint64_t used_in(xmem_pool pool) {
    xmem_pool_stats stats;
    stats.size = sizeof stats;
    EXPECT_OK(xmem_stats(pool, &stats));
    return stats.used;
}

static void check_misuse(xmem_pool pool, xmem_channel jobs) {
    xmem_handle reply = 99;
    uint64_t number = 99;
    const xmem_handle handle = filled(pool, 1);
    const xmem_handle gone = filled(pool, 1);
    EXPECT_OK(xmem_release(pool, gone));
    xmem_channel_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.mode = XMEM_MODE_BROADCAST;
    xmem_channel news;
    EXPECT_OK(xmem_channel_open(pool, "news", &options, &news));
    EXPECT_TEXT(xmem_request(pool, news, handle, 0, &reply), XMEM_INVALID_ARGUMENT,
                "a broadcast has no one receiver; make requests through a queue");
    EXPECT_STATUS(xmem_request(pool, jobs, handle, 0, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_request(pool, jobs, UINT64_MAX, 0, &reply), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_request(pool, jobs, gone, 0, &reply), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_request(pool, 12345, handle, 0, &reply), XMEM_CHANNEL_CLOSED);
    EXPECT_STATUS(xmem_request(0, jobs, handle, 0, &reply), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_request_number(pool, gone, &number), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_request_number(pool, handle, NULL), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_request_number(0, handle, &number), XMEM_POOL_CLOSED);
    EXPECT(number == 99);
    EXPECT_OK(xmem_request_number(pool, handle, &number));
    EXPECT(number == 0);
    EXPECT_TEXT(xmem_reply(pool, handle, handle), XMEM_INVALID_ARGUMENT,
                "the buffer is no request: its sender waits for no reply");
    EXPECT_STATUS(xmem_reply(pool, gone, handle), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_reply(pool, handle, gone), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_reply(pool, UINT64_MAX, handle), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_reply(0, handle, handle), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_refuse(pool, gone), XMEM_STALE_HANDLE);
    EXPECT_STATUS(xmem_refuse(pool, UINT64_MAX), XMEM_INVALID_ARGUMENT);
    EXPECT_STATUS(xmem_refuse(0, handle), XMEM_POOL_CLOSED);
    /* Every hold stayed. What is no request is given back. */
    EXPECT(first_of(pool, handle) == 1);
    EXPECT_OK(xmem_refuse(pool, handle));
    EXPECT(used_in(pool) == 0 && reply == 99);
    EXPECT_OK(xmem_channel_close(pool, news));
    EXPECT_OK(xmem_channel_leave(pool, news));
}

/* Nobody receives: a request stays in the channel, or there is no room for it. */
static void check_nobody(xmem_pool pool, xmem_channel jobs) {
    xmem_handle reply = 99;
    xmem_handle received;
    const xmem_handle first = filled(pool, 1);
    EXPECT_TEXT(xmem_request(pool, jobs, first, 20, &reply), XMEM_TIMEOUT,
                "no reply came in time");
    EXPECT_STATUS(xmem_data(pool, first, NULL, NULL), XMEM_STALE_HANDLE);
    const xmem_handle second = filled(pool, 2);
    EXPECT_TEXT(xmem_request(pool, jobs, second, 20, &reply), XMEM_CHANNEL_FULL,
                "1 of its 1 places are taken; wait with xmem_send_timed, or give it more capacity");
    uint64_t number = 99;
    EXPECT_OK(xmem_request_number(pool, second, &number));
    EXPECT(number == 0 && reply == 99);
    /* Its asker waits no more: the reply goes back to the pool. */
    EXPECT_OK(xmem_receive(pool, jobs, &received));
    EXPECT(received == first);
    EXPECT_OK(xmem_request_number(pool, received, &number));
    EXPECT(number == 1);
    EXPECT_OK(xmem_reply(pool, received, second));
    EXPECT(used_in(pool) == 0);
}

enum { replies_max = 1024 };

/* Replies that nobody receives fill the asker's channel: here all but one are no replies. */
static void *fill_replies(void *argument) {
    (void)argument;
    xmem_pool pool;
    xmem_channel_stats rows[4];
    xmem_channel replies = 0;
    xmem_handle handles[replies_max + 1];
    xmem_handle request;
    uint32_t count;
    EXPECT_OK(xmem_open(pool_name, NULL, &pool));
    EXPECT_OK(xmem_channels(pool, rows, sizeof rows[0], 4, &count));
    for (uint32_t row = 0; row < count; row++) {
        if (strncmp(rows[row].name, "replies ", 8) != 0) continue;
        EXPECT_OK(xmem_channel_open(pool, rows[row].name, NULL, &replies));
    }
    for (int each = 0; each <= replies_max; each++)
        EXPECT_OK(xmem_acquire(pool, 0, &handles[each]));
    for (int each = 0; each < replies_max; each++)
        EXPECT_OK(xmem_send(pool, replies, handles[each], NULL));
    EXPECT_OK(xmem_receive(pool, jobs_of(pool), &request));
    EXPECT_TEXT(xmem_reply(pool, request, handles[replies_max]), XMEM_CHANNEL_FULL,
                "the asker does not receive its replies");
    /* Both holds stayed, and the request is one still: its asker waits no more. */
    EXPECT_OK(xmem_release(pool, handles[replies_max]));
    EXPECT_STATUS(xmem_reply(pool, request, request), XMEM_CHANNEL_FULL);
    EXPECT_OK(xmem_refuse(pool, request));
    EXPECT_OK(xmem_close(pool));
    return NULL;
}

static void check_full_replies(xmem_pool pool, xmem_channel jobs) {
    pthread_t thread;
    xmem_handle reply;
    EXPECT_STATUS(xmem_request(pool, jobs, filled(pool, 1), 1, &reply), XMEM_TIMEOUT);
    EXPECT(pthread_create(&thread, NULL, fill_replies, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(used_in(pool) == replies_max);
    /* An asker that finds the pool full forgets what nobody waits for; so does one that waits. */
    xmem_handle handles[replies_max + 8];
    for (int each = 0; each < replies_max + 8; each++)
        EXPECT_OK(each % 2 == 0 ? xmem_acquire(pool, 0, &handles[each])
                                : xmem_acquire_timed(pool, 0, 0, &handles[each]));
    EXPECT_STATUS(xmem_acquire(pool, 0, &reply), XMEM_POOL_FULL);
    for (int each = 0; each < replies_max + 8; each++)
        EXPECT_OK(xmem_release(pool, handles[each]));
}

/* Answered on another thread of this process. The first request forgets what nobody waits for. */
static void check_answers(xmem_pool pool, xmem_channel jobs) {
    pthread_t thread;
    unsigned char answer = 0;
    EXPECT(pthread_create(&thread, NULL, answer_on_a_thread, NULL) == 0);
    for (unsigned char byte = 0; byte < 90; byte++) {
        EXPECT_OK(ask(pool, jobs, byte, XMEM_FOREVER, &answer));
        EXPECT(answer == byte + 1);
    }
    EXPECT_TEXT(ask(pool, jobs, 100, 10000, &answer), XMEM_RELEASED,
                "its receiver gave it back without a reply");
    EXPECT_OK(ask(pool, jobs, 102, 10000, &answer));
    EXPECT(answer == 103);
    EXPECT_TEXT(ask(pool, jobs, 103, 10000, &answer), XMEM_PEER_DIED,
                "its receiver ended, or let go of it");
    /* What comes late is not taken for the reply to the next one. */
    EXPECT_STATUS(ask(pool, jobs, 104, 20, &answer), XMEM_TIMEOUT);
    EXPECT_OK(ask(pool, jobs, 5, 10000, &answer));
    EXPECT(answer == 6);
    EXPECT_OK(xmem_channel_close(pool, jobs));
    xmem_handle reply;
    const xmem_handle late = filled(pool, 1);
    EXPECT_STATUS(xmem_request(pool, jobs, late, 10000, &reply), XMEM_CHANNEL_CLOSED);
    EXPECT_OK(xmem_release(pool, late));
    EXPECT(pthread_join(thread, NULL) == 0);
}

static void be_child(xmem_pool pool, xmem_channel jobs, xmem_handle held) {
    xmem_handle reply;
    uint64_t number;
    EXPECT_STATUS(xmem_request(pool, jobs, held, XMEM_FOREVER, &reply), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_request_number(pool, held, &number), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_reply(pool, held, held), XMEM_POOL_CLOSED);
    EXPECT_STATUS(xmem_refuse(pool, held), XMEM_POOL_CLOSED);
    EXPECT_OK(xmem_close(pool));
}

static void check_fork(xmem_pool pool, xmem_channel jobs) {
    const xmem_handle held = filled(pool, 1);
    const pid_t child = fork();
    if (child == 0) {
        be_child(pool, jobs, held);
        _exit(0);
    }
    int status = 1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    EXPECT_OK(xmem_release(pool, held));
}

static void check_all(void) {
    xmem_options options;
    xmem_pool pool;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = replies_max + 8;
    options.buffer_size = 100;
    EXPECT_OK(xmem_create(pool_name, &options, &pool));
    xmem_channel_options one;
    memset(&one, 0, sizeof one);
    one.size = sizeof one;
    one.capacity = 1;
    xmem_channel jobs;
    EXPECT_OK(xmem_channel_open(pool, "jobs", &one, &jobs));
    check_misuse(pool, jobs);
    check_nobody(pool, jobs);
    check_fork(pool, jobs);
    check_full_replies(pool, jobs);
    check_answers(pool, jobs);
    EXPECT(used_in(pool) == 0);
    EXPECT_OK(xmem_close(pool));
    EXPECT_OK(xmem_unlink(pool_name));
    puts("as expected");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    pool_name = argv[2];
    if (strcmp(argv[1], "check") == 0) check_all();
    else if (strcmp(argv[1], "answer") == 0) answer_all();
    else if (argc == 5) ask_all(atoi(argv[3]), (unsigned char)atoi(argv[4]));
    else return 2;
    return 0;
}
