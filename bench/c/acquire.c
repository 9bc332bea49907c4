/* Getting a buffer and giving it back, by one thread: the yardstick, xmem from C, and what a program
 * without a pool does. The argument says which. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"
#include "xmem.h"

enum { SLOTS = 64, SIZE = 4096 };

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The least that a lock-free pool can do: a tagged pop and push, without any check. */

struct list {
    _Alignas(128) uint64_t head;
    _Alignas(128) uint32_t next[SLOTS];
};

static void pop_push(void *context, long count) {
    struct list *list = context;
    for (long i = 0; i < count; i++) {
        uint64_t head = __atomic_load_n(&list->head, __ATOMIC_ACQUIRE), to;
        do to = ((head >> 32) + 1) << 32 |
                __atomic_load_n(&list->next[(uint32_t)head], __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&list->head, &head, to, 1, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE));
        const uint32_t slot = (uint32_t)head;
        head = __atomic_load_n(&list->head, __ATOMIC_ACQUIRE);
        do {
            __atomic_store_n(&list->next[slot], (uint32_t)head, __ATOMIC_RELAXED);
            to = ((head >> 32) + 1) << 32 | slot;
        } while (!__atomic_compare_exchange_n(&list->head, &head, to, 1, __ATOMIC_ACQ_REL,
                                              __ATOMIC_ACQUIRE));
    }
}

static void acquire_release(void *context, long count) {
    const xmem_pool pool = *(xmem_pool *)context;
    for (long i = 0; i < count; i++) {
        xmem_handle handle;
        if (xmem_acquire(pool, SIZE, &handle) != XMEM_OK) fail("acquire");
        if (xmem_release(pool, handle) != XMEM_OK) fail("release");
    }
}

static void acquire_and_write(void *context, long count) {
    const xmem_pool pool = *(xmem_pool *)context;
    for (long i = 0; i < count; i++) {
        xmem_handle handle;
        void *data;
        size_t size;
        if (xmem_acquire(pool, SIZE, &handle) != XMEM_OK) fail("acquire");
        if (xmem_data(pool, handle, &data, &size) != XMEM_OK) fail("data");
        *(volatile uint8_t *)data = (uint8_t)i;
        if (xmem_release(pool, handle) != XMEM_OK) fail("release");
    }
}

static void heap(void *context, long count) {
    (void)context;
    for (long i = 0; i < count; i++) {
        volatile uint8_t *bytes = malloc(SIZE);
        if (bytes == NULL) fail("malloc");
        bytes[0] = (uint8_t)i;
        free((void *)bytes);
    }
}

/* An object in shared memory for each buffer. */
static void object(void *context, long count) {
    const char *name = context;
    for (long i = 0; i < count; i++) {
        const int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd < 0 || ftruncate(fd, SIZE) != 0) fail("shm_open");
        volatile uint8_t *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (bytes == MAP_FAILED) fail("mmap");
        bytes[0] = (uint8_t)i;
        munmap((void *)bytes, SIZE);
        shm_unlink(name);
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    double took = 0;
    char name[64];
    snprintf(name, sizeof name, "/bench.acquire.%d", getpid());
    if (strcmp(how, "pop-push") == 0) {
        static struct list list;
        for (uint32_t i = 0; i < SLOTS; i++) list.next[i] = i + 1;
        took = measure(pop_push, &list);
    } else if (strcmp(how, "heap") == 0) {
        took = measure(heap, NULL);
    } else if (strcmp(how, "object") == 0) {
        took = measure(object, name);
    } else {
        xmem_pool pool;
        const xmem_options options = {
            .size = sizeof options, .capacity = SLOTS, .buffer_size = 65536, .ephemeral = 1,
            .local_cache = strcmp(how, "xmem-cache") == 0 ? 32 : 0};
        if (xmem_create(name + 1, &options, &pool) != XMEM_OK) fail("create");
        const int touch = strcmp(how, "xmem-bytes") == 0;
        if (!touch && options.local_cache == 0 && strcmp(how, "xmem") != 0) fail("which?");
        took = measure(touch ? acquire_and_write : acquire_release, &pool);
        xmem_close(pool);
    }
    printf("{\"ns\": %.3f}\n", took);
    return 0;
}
