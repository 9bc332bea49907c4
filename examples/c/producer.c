/* Fills buffers of a pool and hands them to whoever reads the handles from its standard output. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

static void check(int32_t status, const char *what) {
    char text[512];
    if (status == XMEM_OK) return;
    xmem_error_text(text, sizeof text);
    fprintf(stderr, "producer: %s: %s %s\n", what, xmem_error_name(status), text);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: producer NAME FRAMES BYTES\n");
        return 2;
    }
    const unsigned long frames = strtoul(argv[2], NULL, 10);
    const uint32_t bytes = (uint32_t)strtoul(argv[3], NULL, 10);

    /* Four buffers, however many frames: the producer waits for the consumer. */
    xmem_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 4;
    options.buffer_size = bytes;
    options.participant_name = "producer";
    xmem_pool pool;
    check(xmem_open_or_create(argv[1], &options, &pool), "opening the pool");

    for (unsigned long frame = 0; frame < frames; frame++) {
        xmem_handle handle;
        void *data;
        check(xmem_acquire_timed(pool, bytes, 10000, &handle), "waiting for a buffer");
        check(xmem_data(pool, handle, &data, NULL), "finding its bytes");
        memset(data, (int)(frame % 256), bytes);
        check(xmem_set_sequence(pool, handle, frame), "numbering it");
        check(xmem_set_content_type(pool, handle, "example/frame"), "describing it");
        check(xmem_hand_off(pool, handle), "handing it off");
        printf("%" PRIu64 "\n", handle);
        fflush(stdout);
    }
    check(xmem_close(pool), "closing the pool");
    return 0;
}
