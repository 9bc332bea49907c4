/* Receives buffers from a channel until it is closed, and gives them back. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

static void check(int32_t status, const char *what) {
    char text[512];
    if (status == XMEM_OK) return;
    xmem_error_text(text, sizeof text);
    fprintf(stderr, "consumer: %s: %s: %s\n", what, xmem_error_name(status), text);
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
    options.capacity = 4;
    options.participant_name = "consumer";
    xmem_pool pool;
    check(xmem_open_or_create(argv[1], &options, &pool), "opening the pool");
    xmem_channel channel;
    check(xmem_channel_open(pool, "frames", NULL, &channel), "opening the channel");

    while (1) {
        xmem_handle handle;
        void *data;
        size_t size;
        xmem_description description;
        description.size = sizeof description;
        const int32_t status = xmem_receive_timed(pool, channel, XMEM_FOREVER, &handle);
        if (status == XMEM_CHANNEL_CLOSED) break;
        check(status, "receiving a buffer");
        check(xmem_data(pool, handle, &data, &size), "finding its bytes");
        check(xmem_get_description(pool, handle, &description), "reading its description");
        printf("frame %" PRIu64 ": %zu bytes of %s, sum %" PRIu64 "\n", description.sequence, size,
               description.content_type, sum_of(data, size));
        fflush(stdout);
        check(xmem_release(pool, handle), "giving it back");
    }

    xmem_channel_stats stats;
    stats.size = sizeof stats;
    check(xmem_get_channel_stats(pool, channel, &stats), "looking at the channel");
    printf("%" PRIu64 " of %" PRIu64 " frames received\n", stats.received, stats.sent);
    check(xmem_unlink_pool(pool), "removing its name");
    check(xmem_close(pool), "closing it");
    return 0;
}
