/* GstBufferPool: one buffer taken and given back, by one thread or by several. The pool lies in one
 * process: only its threads share it. Arguments: "acquire" or "acquire map" or "contend". */

#include <gst/gst.h>
#include <string.h>

#include "../../c/contend.h"

enum { SLOTS = 64, SIZE = 4096 };

static void plain(void *context, long count) {
    for (long i = 0; i < count; i++) {
        GstBuffer *buffer = NULL;
        if (gst_buffer_pool_acquire_buffer(context, &buffer, NULL) != GST_FLOW_OK) exit(1);
        gst_buffer_unref(buffer);
    }
}

static void mapped(void *context, long count) {
    for (long i = 0; i < count; i++) {
        GstBuffer *buffer = NULL;
        GstMapInfo map;
        if (gst_buffer_pool_acquire_buffer(context, &buffer, NULL) != GST_FLOW_OK) exit(1);
        if (!gst_buffer_map(buffer, &map, GST_MAP_WRITE)) exit(1);
        map.data[0] = (guint8)i;
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
}

static void *same(void *context) { return context; }

int main(int argc, char **argv) {
    gst_init(NULL, NULL);
    GstBufferPool *pool = gst_buffer_pool_new();
    GstStructure *config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, NULL, SIZE, SLOTS, SLOTS);
    if (!gst_buffer_pool_set_config(pool, config)) return 1;
    if (!gst_buffer_pool_set_active(pool, TRUE)) return 1;
    if (argc > 1 && strcmp(argv[1], "contend") == 0) {
        const struct contender contender = {plain, same, pool, 1, 100};
        contend(&contender);
    } else {
        const int map = argc > 2 && strcmp(argv[2], "map") == 0;
        printf("{\"ns\": %.3f}\n", measure(map ? mapped : plain, pool));
    }
    return 0;
}
