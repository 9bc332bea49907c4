/* Fills buffers of a pool and sends them through a channel. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

static void check(int32_t status, const char *what) {
    char text[512];
    if (status == XMEM_OK) return;
    xmem_error_text(text, sizeof text);
    fprintf(stderr, "producer: %s: %s: %s\n", what, xmem_error_name(status), text);
    exit(1);
}

static uint64_t number(const char *text, uint64_t most) {
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == 0 && text[0] != '-' && value <= most) return value;
    fprintf(stderr, "producer: %s is no whole number from 0 to %" PRIu64 "\n", text, most);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: producer NAME FRAMES BYTES\n");
        return 2;
    }
    const uint64_t frames = number(argv[2], UINT64_MAX);
    const uint32_t bytes = (uint32_t)number(argv[3], UINT32_MAX);

    /* Four buffers, however many frames: the producer waits for the consumer. Whichever of the two
       comes first makes the pool and the channel. */
    xmem_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.capacity = 4;
    options.participant_name = "producer";
    xmem_pool pool;
    check(xmem_open_or_create(argv[1], &options, &pool), "opening the pool");
    xmem_channel_options how;
    memset(&how, 0, sizeof how);
    how.size = sizeof how;
    how.sends_only = 1;
    xmem_channel channel;
    check(xmem_channel_open(pool, "frames", &how, &channel), "opening the channel");

    xmem_handle handle;
    for (uint64_t frame = 0; frame < frames; frame++) {
        void *data;
        check(xmem_acquire_timed(pool, bytes, 10000, &handle), "waiting for a buffer");
        check(xmem_data(pool, handle, &data, NULL), "finding its bytes");
        memset(data, (int)(frame % 256), bytes);
        check(xmem_set_sequence(pool, handle, frame), "numbering it");
        check(xmem_set_content_type(pool, handle, "example/frame"), "describing it");
        check(xmem_send_timed(pool, channel, handle, 10000), "sending it");
    }
    check(xmem_channel_close(pool, channel), "closing the channel");

    /* A closed channel that nobody has open is removed with what is in it. So stay until the
       consumer has received everything, and given it back. */
    for (int buffer = 0; buffer < 4; buffer++) {
        check(xmem_acquire_timed(pool, 0, 10000, &handle), "waiting for the consumer");
    }
    check(xmem_close(pool), "closing the pool");
    return 0;
}
