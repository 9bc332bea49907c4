/* The yardsticks of the channels' benchmark for waits that sleep: a word that goes back and forth
 * between two processes, each of which thinks before it answers, so that the other one sleeps. With
 * "futex" a process sleeps on the word. With "loop" it sleeps in epoll_wait, as an event loop does,
 * and a thread of its own sleeps on the word and writes to a socket. Prints the nanoseconds of a
 * round trip, without the thinking, in the median. The processors on which the two run may be given:
 * where they sleep, the scheduler's choice matters more than anything else. */

#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIPS = 500 };

/* Each word alone on its cache lines. */
struct words {
    uint32_t ping;
    char room[252];
    uint32_t pong;
};

/* What one process sleeps on; with "loop", and through what its thread tells it. */
struct end {
    const uint32_t *word;
    uint32_t seen;
    int epoll;
    int sockets[2];
};

static double now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void think(double ns) {
    const double until = now_ns() + ns;
    while (now_ns() < until) {
    }
}

static void post(uint32_t *word) {
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Until the word has changed once more. */
static void await(const uint32_t *word, uint32_t *seen) {
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == *seen)
        syscall(SYS_futex, word, FUTEX_WAIT, *seen, NULL, NULL, 0);
    *seen += 1;
}

static void run_on(const char *processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)atoi(processor), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) exit(1);
}

static void *watch(void *argument) {
    const struct end *end = argument;
    uint32_t seen = 0;
    while (seen < TRIPS) {
        await(end->word, &seen);
        if (send(end->sockets[0], "!", 1, MSG_NOSIGNAL) != 1) exit(1);
    }
    return NULL;
}

static void open_end(struct end *end, const uint32_t *word, int has_loop) {
    struct epoll_event readable = {.events = EPOLLIN};
    pthread_t thread;
    memset(end, 0, sizeof *end);
    end->word = word;
    if (!has_loop) return;
    end->epoll = epoll_create1(0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, end->sockets) != 0) exit(1);
    if (epoll_ctl(end->epoll, EPOLL_CTL_ADD, end->sockets[1], &readable) != 0) exit(1);
    if (pthread_create(&thread, NULL, watch, end) != 0) exit(1);
}

static void receive(struct end *end, int has_loop) {
    struct epoll_event event;
    char bytes[16];
    if (!has_loop) {
        await(end->word, &end->seen);
        return;
    }
    while (epoll_wait(end->epoll, &event, 1, -1) != 1) {
    }
    if (recv(end->sockets[1], bytes, sizeof bytes, 0) != 1) exit(1);
}

static int ascending(const void *one, const void *other) {
    const double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int main(int count, char **arguments) {
    static double took[TRIPS];
    if (count != 3 && count != 5) return 2;
    const int has_loop = strcmp(arguments[1], "loop") == 0;
    const double think_ns = atof(arguments[2]) * 1000;
    struct end end;
    struct words *words = mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) return 1;
    const pid_t child = fork();
    if (child < 0) return 1;
    if (count == 5) run_on(arguments[child == 0 ? 4 : 3]);
    if (child == 0) {
        open_end(&end, &words->ping, has_loop);
        for (int trip = 0; trip < TRIPS; trip++) {
            receive(&end, has_loop);
            think(think_ns);
            post(&words->pong);
        }
        return 0;
    }
    open_end(&end, &words->pong, has_loop);
    for (int trip = 0; trip < TRIPS; trip++) {
        think(think_ns);
        const double start = now_ns();
        post(&words->ping);
        receive(&end, has_loop);
        took[trip] = now_ns() - start - think_ns;
    }
    waitpid(child, NULL, 0);
    qsort(took, TRIPS, sizeof *took, ascending);
    printf("%.1f\n", took[TRIPS / 2]);
    return 0;
}
