/* GStreamer's shmsink and shmsrc: buffers that go to another process's pipeline. They lie in the
 * shared memory of the sink, so that no byte is copied; a socket carries which is meant. Arguments:
 * "hand-over" and the sizes; "throughput" and how many frames side 1 fills and side 0 sums; or "wake"
 * and how many buffers side 1 sends, one a millisecond. */

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <glob.h>
#include <gst/gst.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../c/frames.h"
#include "../../c/measure.h"

enum { DEPTH = 4, FRAME = 1920 * 1080 * 3 };

enum task { HAND_OVER, THROUGHPUT, WAKE };

static enum task task;
static size_t size;
static char sockets[2][64];
static GstAppSrc *to;
static GstAppSink *from;
static GstAllocator *shared;
static GstAllocationParams params;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static GstElement *play(const char *text, const char *name) {
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    if (error != NULL) fail(error->message);
    GstElement *end = gst_bin_get_by_name(GST_BIN(pipeline), name);
    if (gst_element_set_state(pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) fail(text);
    return end;
}

/** The sink of this side, and when the other side has its own the source. */
static void join(int side, int ready_in, int ready_out) {
    char text[512], byte = 0;
    gst_init(NULL, NULL);
    const size_t bytes = (DEPTH + 1) * (size + 65536);
    snprintf(text, sizeof text,
             "appsrc name=end block=true max-bytes=%zu caps=application/octet-stream ! shmsink "
             "socket-path=%s shm-size=%zu wait-for-connection=true sync=false async=false",
             size * 2 + 1, sockets[side], bytes);
    to = GST_APP_SRC(play(text, "end"));
    while (access(sockets[side], F_OK) != 0) usleep(1000);
    if (write(ready_out, &byte, 1) != 1 || read(ready_in, &byte, 1) != 1) fail("handshake");
    snprintf(text, sizeof text,
             "shmsrc socket-path=%s is-live=true ! appsink name=end sync=false async=false "
             "max-buffers=%d",
             sockets[!side], DEPTH);
    from = GST_APP_SINK(play(text, "end"));
    GstPad *pad = gst_element_get_static_pad(GST_ELEMENT(to), "src");
    GstQuery *query = gst_query_new_allocation(NULL, FALSE);
    if (!gst_pad_peer_query(pad, query) || gst_query_get_n_allocation_params(query) == 0)
        fail("no allocator");
    gst_query_parse_nth_allocation_param(query, 0, &shared, &params);
    gst_query_unref(query);
    gst_object_unref(pad);
}

/** A buffer in the sink's shared memory; where that is full, the sink would copy, so wait. */
static GstBuffer *claim(GstMapInfo *map) {
    for (;;) {
        GstBuffer *buffer = gst_buffer_new_allocate(shared, size, &params);
        if (gst_buffer_peek_memory(buffer, 0)->allocator == shared) {
            if (!gst_buffer_map(buffer, map, GST_MAP_WRITE)) fail("map");
            return buffer;
        }
        gst_buffer_unref(buffer);
        usleep(20);
    }
}

static void push(GstBuffer *buffer, GstMapInfo *map) {
    gst_buffer_unmap(buffer, map);
    if (gst_app_src_push_buffer(to, buffer) != GST_FLOW_OK) fail("push");
}

static void push_byte(guint8 byte) {
    GstMapInfo map;
    GstBuffer *buffer = claim(&map);
    map.data[0] = byte;
    push(buffer, &map);
}

static guint8 pull_byte(void) {
    GstMapInfo map;
    GstSample *sample = gst_app_sink_pull_sample(from);
    if (sample == NULL) fail("pull");
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) fail("map");
    const guint8 byte = map.data[0];
    gst_buffer_unmap(buffer, &map);
    gst_sample_unref(sample);
    return byte;
}

static void trips(void *context, long count) {
    (void)context;
    for (long i = 0; i < count; i++) {
        push_byte((guint8)i);
        if (pull_byte() != (guint8)i) fail("another buffer came back");
    }
}

static void produce(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        GstMapInfo map;
        if (task == WAKE) usleep(1000);
        GstBuffer *buffer = claim(&map);
        if (task == WAKE) *(double *)map.data = frames_now_ns();
        else frames_fill(map.data, size, i);
        push(buffer, &map);
    }
    pause();
}

static double consume(uint32_t count) {
    double start = 0;
    for (uint32_t i = 0; i < count; i++) {
        GstMapInfo map;
        GstSample *sample = gst_app_sink_pull_sample(from);
        if (sample == NULL) fail("pull");
        GstBuffer *buffer = gst_sample_get_buffer(sample);
        if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) fail("map");
        if (frames_sum(map.data, size) != (uint64_t)i * (FRAME / 4)) fail("another frame came");
        gst_buffer_unmap(buffer, &map);
        gst_sample_unref(sample);
        if (i == count / 4) start = frames_now_ns();
    }
    return (count - 1 - count / 4) * (double)size / (frames_now_ns() - start);
}

static double cpu_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

static void wake(uint32_t count) {
    double *late = calloc(count, sizeof *late);
    if (late == NULL) fail("calloc");
    const double start = frames_now_ns(), cpu = cpu_ns();
    for (uint32_t i = 0; i < count; i++) {
        GstMapInfo map;
        GstSample *sample = gst_app_sink_pull_sample(from);
        if (sample == NULL) fail("pull");
        GstBuffer *buffer = gst_sample_get_buffer(sample);
        if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) fail("map");
        late[i] = (frames_now_ns() - *(double *)map.data) / 1e3;
        gst_buffer_unmap(buffer, &map);
        gst_sample_unref(sample);
    }
    const double used = 100 * (cpu_ns() - cpu) / (frames_now_ns() - start);
    qsort(late, count, sizeof *late, measure_ascending);
    printf("\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, \"cpu\": %.3f", late[count / 2],
           late[count * 99 / 100], late[count * 999 / 1000], used);
}

/** A sink that is killed, or whose process ends, leaves its memory's name behind. */
static void remove_memory(pid_t of) {
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "/dev/shm/shmpipe.*%d.*", of);
    if (glob(pattern, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) unlink(found.gl_pathv[i]);
    globfree(&found);
}

/** Each measurement is a pair of processes of its own: GStreamer must not start before a fork. */
static void measured(size_t of, uint32_t count, const char *key) {
    int first[2], second[2];
    size = of;
    for (int side = 0; side < 2; side++)
        snprintf(sockets[side], sizeof sockets[side], "/tmp/bench.shm.%d.%zu.%d", getpid(), of, side);
    if (pipe(first) != 0 || pipe(second) != 0) fail("pipe");
    const pid_t child = fork();
    if (child == 0) {
        join(1, first[0], second[1]);
        if (count > 0) produce(count);
        for (;;) push_byte(pull_byte());
    }
    const pid_t parent = fork();
    if (parent == 0) {
        join(0, second[0], first[1]);
        if (task == WAKE) wake(count);
        else if (task == THROUGHPUT) printf("\"%s\": %.4f", key, consume(count));
        else printf("\"%s\": %.4f", key, measure(trips, NULL) / 1e3);
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    waitpid(parent, &status, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (int side = 0; side < 2; side++) unlink(sockets[side]);
    remove_memory(child);
    remove_memory(parent);
    if (status != 0) exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) return 1;
    if (strcmp(argv[1], "throughput") == 0) task = THROUGHPUT;
    if (strcmp(argv[1], "wake") == 0) task = WAKE;
    printf("{");
    for (int i = 2; i < argc; i++) {
        fflush(stdout);
        if (task == THROUGHPUT) measured(FRAME, (uint32_t)atoi(argv[i]), "gbps");
        else if (task == WAKE) measured(4096, (uint32_t)atoi(argv[i]), "");
        else measured((size_t)atol(argv[i]), 0, argv[i]);
        fflush(stdout);
        if (i + 1 < argc) printf(", ");
    }
    printf("}\n");
    return 0;
}
