/* Opens a pool, forks, on another thread if asked, and says what the child finds: the name of the
   status of each call. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xmem.h"

static const char *name;
static xmem_pool pool;
static xmem_handle held;

static void say(const char *what, int32_t status) {
    printf("%s %s\n", what, xmem_error_name(status));
    fflush(stdout);
}

static void be_child(void) {
    xmem_handle handle;
    void *data;
    xmem_pool_stats stats;
    stats.size = sizeof stats;
    say("child acquire", xmem_acquire(pool, 8, &handle));
    say("child acquire_timed", xmem_acquire_timed(pool, 8, 1000, &handle));
    say("child data", xmem_data(pool, held, &data, NULL));
    say("child release", xmem_release(pool, held));
    say("child stats", xmem_stats(pool, &stats));
    say("child close", xmem_close(pool));
    say("child close again", xmem_close(pool));
    xmem_pool own;
    say("child open", xmem_open(name, NULL, &own));
    say("child acquire of its own", xmem_acquire(own, 8, &handle));
    say("child close of its own", xmem_close(own));
}

static void *fork_child(void *status) {
    const pid_t child = fork();
    if (child == 0) {
        be_child();
        _exit(0);
    }
    if (child < 0 || waitpid(child, status, 0) != child) *(int *)status = 1;
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2 || xmem_open(argv[1], NULL, &pool) != XMEM_OK) return 1;
    if (xmem_acquire(pool, 8, &held) != XMEM_OK) return 1;
    name = argv[1];
    int status = 0;
    pthread_t thread;
    if (argc == 2) {
        fork_child(&status);
    } else {
        if (pthread_create(&thread, NULL, fork_child, &status) != 0) return 1;
        pthread_join(thread, NULL);
    }
    say("parent release", xmem_release(pool, held));
    say("parent close", xmem_close(pool));
    return status;
}
