/* Takes the buffers whose handles it reads from its standard input, and gives them back. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

static void check(int32_t status, const char *what) {
    char text[512];
    if (status == XMEM_OK) return;
    xmem_error_text(text, sizeof text);
    fprintf(stderr, "consumer: %s: %s %s\n", what, xmem_error_name(status), text);
    exit(1);
}

static uint64_t sum_of(const unsigned char *bytes, size_t size) {
    uint64_t sum = 0;
    for (size_t place = 0; place < size; place++) sum += bytes[place];
    return sum;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: consumer NAME\n");
        return 2;
    }
    xmem_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.participant_name = "consumer";

    xmem_pool pool = 0;
    xmem_handle handle;
    int read;
    while ((read = scanf("%" SCNu64, &handle)) == 1) {
        /* Whoever sent the first handle has made the pool. */
        if (pool == 0) check(xmem_open(argv[1], &options, &pool), "opening the pool");
        void *data;
        size_t size;
        xmem_description description;
        description.size = sizeof description;
        check(xmem_take(pool, handle, NULL), "taking a buffer");
        check(xmem_data(pool, handle, &data, &size), "finding its bytes");
        check(xmem_get_description(pool, handle, &description), "reading its description");
        printf("frame %" PRIu64 ": %zu bytes of %s, sum %" PRIu64 "\n", description.sequence, size,
               description.content_type, sum_of(data, size));
        check(xmem_release(pool, handle), "giving it back");
    }
    if (read == 0) {
        fprintf(stderr, "consumer: its input is no handle\n");
        return 1;
    }
    if (pool == 0) return 0;

    xmem_pool_stats stats;
    stats.size = sizeof stats;
    check(xmem_stats(pool, &stats), "looking at the pool");
    printf("free again: %" PRIu64 " of %" PRIu64 "\n", stats.free, stats.capacity);
    check(xmem_unlink_pool(pool), "removing its name");
    check(xmem_close(pool), "closing it");
    return 0;
}
