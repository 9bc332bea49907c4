/* What the operations of xmem cost as a pool grows. Arguments: along what ("capacity", "participants"
 * or "sizes"), which operation (of "sizes": both), and the places to measure at. Answers in
 * microseconds, and for "overhead" in bytes per slot. A size that there is no room for is left out. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "xmem.h"

static char name[64];
static xmem_options options;
static xmem_pool pool;
static uint32_t acquired_size = 64;

static void check(int32_t status, const char *what) {
    if (status == XMEM_OK) return;
    fprintf(stderr, "%s: %d\n", what, status);
    exit(1);
}

static void acquire_release(void *context, long count) {
    (void)context;
    for (long i = 0; i < count; i++) {
        xmem_handle handle;
        check(xmem_acquire(pool, acquired_size, &handle), "acquire");
        check(xmem_release(pool, handle), "release");
    }
}

static void create_only(void) { check(xmem_create(name, &options, &pool), "create"); }
static void open_only(void) { check(xmem_open(name, NULL, &pool), "open"); }
static void close_only(void) { check(xmem_close(pool), "close"); }

/** An expired lease gives the recovery something to do. */
static void lose(void) {
    xmem_handle handle;
    check(xmem_acquire(pool, acquired_size, &handle), "acquire");
    check(xmem_share(pool, handle), "share");
    check(xmem_release(pool, handle), "release");
    usleep(20000);
}

static void recover(void) {
    xmem_reclaim_report report = {.size = sizeof report};
    check(xmem_reclaim(pool, &report), "reclaim");
    if (report.references != 1) {
        fprintf(stderr, "nothing was recovered\n");
        exit(1);
    }
}

static void nothing(void) {}

/** The median time of a step that needs one before it and one after it, in microseconds. */
static double timed(void (*before)(void), void (*step)(void), void (*after)(void)) {
    enum { MOST = 200, LEAST = 3 };
    double took[MOST];
    int done = 0;
    const double until = now_ns() + measure_ns();
    while (done < MOST && (done < LEAST || now_ns() < until)) {
        before();
        const double start = now_ns();
        step();
        took[done++] = (now_ns() - start) / 1e3;
        after();
    }
    qsort(took, (size_t)done, sizeof *took, measure_ascending);
    return took[done / 2];
}

/** Bytes that the pool takes per slot beside the data, once every slot was used and all are free. */
static double overhead(void) {
    xmem_handle *all = calloc(options.capacity, sizeof *all);
    if (all == NULL) exit(1);
    create_only();
    for (uint32_t i = 0; i < options.capacity; i++) check(xmem_acquire(pool, 0, &all[i]), "acquire");
    for (uint32_t i = 0; i < options.capacity; i++) check(xmem_release(pool, all[i]), "release");
    xmem_pool_stats stats = {.size = sizeof stats};
    check(xmem_stats(pool, &stats), "stats");
    char path[128];
    struct stat object;
    const char *folder = getenv("XMEM_DIR");
    snprintf(path, sizeof path, "%s/xmem.%s", folder != NULL ? folder : "/dev/shm", name);
    if (stat(path, &object) != 0) exit(1);
    close_only();
    free(all);
    return ((double)object.st_blocks * 512 - (double)stats.committed_bytes) / options.capacity;
}

/* Opening and closing is measured by a process of its own, since a second open of one thread shares
 * what the first one has. It is there before the threads are, and begins when it is told to. */

static pid_t opener;
static int to_opener[2], from_opener[2];

static void start_opener(const char *which) {
    if (pipe(to_opener) != 0 || pipe(from_opener) != 0) exit(1);
    opener = fork();
    if (opener != 0) return;
    char go;
    if (read(to_opener[0], &go, 1) != 1) exit(1);
    const double took = strcmp(which, "open") == 0 ? timed(nothing, open_only, close_only)
                                                   : timed(open_only, close_only, nothing);
    if (write(from_opener[1], &took, sizeof took) != sizeof took) exit(1);
    _exit(0);
}

static double ask_opener(void) {
    double took;
    if (write(to_opener[1], "", 1) != 1) exit(1);
    if (read(from_opener[0], &took, sizeof took) != sizeof took) exit(1);
    waitpid(opener, NULL, 0);
    for (int end = 0; end < 2; end++) {
        close(to_opener[end]);
        close(from_opener[end]);
    }
    return took;
}

static int is_opener(const char *which) {
    return strcmp(which, "open") == 0 || strcmp(which, "close") == 0;
}

/* Participants: threads that have the pool open and sleep. */

static pthread_barrier_t opened, measured;

static void *participate(void *context) {
    xmem_pool own;
    (void)context;
    check(xmem_open(name, NULL, &own), "open");
    pthread_barrier_wait(&opened);
    pthread_barrier_wait(&measured);
    check(xmem_close(own), "close");
    return NULL;
}

/** One operation on a pool as the options describe it, which so many others have open. */
static double operation(const char *which, uint32_t others) {
    if (strcmp(which, "overhead") == 0) return overhead();
    if (strcmp(which, "create") == 0) return timed(nothing, create_only, close_only);
    if (is_opener(which)) start_opener(which);
    pthread_t *threads = calloc(others + 1, sizeof *threads);
    pthread_attr_t small;
    create_only();
    const xmem_pool first = pool;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    pthread_barrier_init(&opened, NULL, others + 1);
    pthread_barrier_init(&measured, NULL, others + 1);
    for (uint32_t i = 0; i < others; i++)
        if (pthread_create(&threads[i], &small, participate, NULL) != 0) exit(1);
    pthread_barrier_wait(&opened);
    double took = 0;
    if (is_opener(which)) took = ask_opener();
    else if (strcmp(which, "acquire") == 0) took = measure(acquire_release, NULL) / 1e3;
    else if (strcmp(which, "recovery") == 0) took = timed(lose, recover, nothing);
    else exit(1);
    pthread_barrier_wait(&measured);
    for (uint32_t i = 0; i < others; i++) pthread_join(threads[i], NULL);
    check(xmem_close(first), "close");
    free(threads);
    return took;
}

/** A buffer of that size for the first time, which commits its memory, and then again and again. */
static void sized(const char *size, const char *comma) {
    xmem_handle handle;
    options.capacity = 1;
    options.buffer_size = acquired_size = (uint32_t)strtoull(size, NULL, 10);
    create_only();
    const double start = now_ns();
    const int32_t status = xmem_acquire(pool, acquired_size, &handle);
    const double first = (now_ns() - start) / 1e3;
    if (status != XMEM_OUT_OF_MEMORY) {
        check(status, "acquire");
        check(xmem_release(pool, handle), "release");
        const double again = measure(acquire_release, NULL) / 1e3;
        printf("%s\"first %s\": %.4f, \"again %s\": %.4f", comma, size, first, size, again);
    }
    close_only();
}

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    const char *along = argv[1], *which = argv[2];
    snprintf(name, sizeof name, "bench.scale.%d", getpid());
    printf("{");
    for (int i = 3; i < argc; i++) {
        const char *comma = i == 3 ? "" : ", ";
        memset(&options, 0, sizeof options);
        options.size = sizeof options;
        options.ephemeral = 1;
        options.buffer_size = 64;
        options.capacity = 64;
        options.lease_timeout_ms = 1;
        fflush(stdout);
        if (strcmp(along, "sizes") == 0) {
            sized(argv[i], comma);
            continue;
        }
        const uint32_t place = (uint32_t)atol(argv[i]);
        const int participants = strcmp(along, "participants") == 0;
        if (participants) options.max_participants = 1100;
        else options.capacity = place;
        const double took = operation(which, participants ? place - 1 : 0);
        const char *unit = strcmp(which, "overhead") == 0 ? "bytes " : "";
        printf("%s\"%s%s\": %.4f", comma, unit, argv[i], took);
    }
    printf("}\n");
    return 0;
}
