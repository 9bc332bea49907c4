/* Hands single buffers to and fro with another process, by handles in lines: "take H" and "get H" say
   the bytes' sum, then "give" hands the buffer off and "share" makes a reference more, and both say
   the handle; "drop" gives the hold back; "full" waits 50 ms for a buffer; "stats" says what is used,
   in flight, and waits. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "xmem.h"

static xmem_pool pool;
static xmem_handle held;

static void say_sum(void) {
    void *data;
    size_t size;
    uint64_t sum = 0;
    EXPECT_OK(xmem_data(pool, held, &data, &size));
    for (size_t at = 0; at < size; at++) sum += ((unsigned char *)data)[at];
    printf("%zu bytes, sum %" PRIu64 "\n", size, sum);
}

static void obey(const char *command, uint64_t handle) {
    if (strcmp(command, "take") == 0) {
        EXPECT_OK(xmem_take(pool, handle, &held));
        say_sum();
    } else if (strcmp(command, "get") == 0) {
        EXPECT_OK(xmem_get(pool, handle, &held));
        say_sum();
    } else if (strcmp(command, "acquire") == 0) {
        void *data;
        EXPECT_OK(xmem_acquire_timed(pool, 10, 10000, &held));
        EXPECT_OK(xmem_data(pool, held, &data, NULL));
        memset(data, 3, 10);
        printf("acquired\n");
    } else if (strcmp(command, "give") == 0) {
        EXPECT_OK(xmem_hand_off(pool, held));
        printf("%" PRIu64 "\n", held);
    } else if (strcmp(command, "share") == 0) {
        EXPECT_OK(xmem_share(pool, held));
        printf("%" PRIu64 "\n", held);
    } else if (strcmp(command, "drop") == 0) {
        EXPECT_OK(xmem_release(pool, held));
        printf("dropped\n");
    } else if (strcmp(command, "full") == 0) {
        xmem_handle other;
        printf("%s\n", xmem_error_name(xmem_acquire_timed(pool, 10, 50, &other)));
    } else if (strcmp(command, "stats") == 0) {
        xmem_pool_stats stats;
        stats.size = sizeof stats;
        EXPECT_OK(xmem_stats(pool, &stats));
        printf("%" PRIu64 " used, %" PRIu64 " in flight, %" PRIu64 " alive\n", stats.used,
               stats.in_flight, stats.alive);
    } else {
        exit(2);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    char command[16];
    uint64_t handle;
    if (argc != 2) return 2;
    EXPECT_OK(xmem_open(argv[1], NULL, &pool));
    while (scanf("%15s %" SCNu64, command, &handle) == 2) obey(command, handle);
    EXPECT_OK(xmem_close(pool));
    return 0;
}
