/* Opens a pool, forks, and says what the child finds: "NAME" of the status of each call. */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xmem.h"

static void say(const char *what, int32_t status) {
    printf("%s %s\n", what, xmem_error_name(status));
    fflush(stdout);
}

static void be_child(const char *name, xmem_pool pool, xmem_handle held) {
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

int main(int argc, char **argv) {
    xmem_pool pool;
    xmem_handle held;
    if (argc != 2 || xmem_open(argv[1], NULL, &pool) != XMEM_OK) return 1;
    if (xmem_acquire(pool, 8, &held) != XMEM_OK) return 1;
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        be_child(argv[1], pool, held);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("parent release", xmem_release(pool, held));
    say("parent close", xmem_close(pool));
    return status;
}
