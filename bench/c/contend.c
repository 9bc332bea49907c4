/* Several processes that get buffers of one pool and give them back, each as often as it can: xmem
 * from C, and the yardstick, a tagged pop and push in shared memory. The argument says which. */

#include "contend.h"

#include <string.h>

#include "xmem.h"

enum { SLOTS = 64, SIZE = 4096 };

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

static void *same(void *context) { return context; }

static xmem_pool pool;
static uint32_t local_cache;

static void acquire_release(void *context, long count) {
    (void)context;
    for (long i = 0; i < count; i++) {
        xmem_handle handle;
        if (xmem_acquire(pool, SIZE, &handle) != XMEM_OK) exit(1);
        if (xmem_release(pool, handle) != XMEM_OK) exit(1);
    }
}

static void *open_pool(void *name) {
    const xmem_options options = {.size = sizeof options, .local_cache = local_cache};
    if (xmem_open(name, &options, &pool) != XMEM_OK) exit(1);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1 && strncmp(argv[1], "xmem", 4) == 0) {
        local_cache = strcmp(argv[1], "xmem-cache") == 0 ? 8 : 0;
        char name[64];
        snprintf(name, sizeof name, "bench.contend.%d", getpid());
        const xmem_options options = {
            .size = sizeof options, .capacity = SLOTS, .buffer_size = 65536, .ephemeral = 1};
        xmem_pool own;
        if (xmem_create(name, &options, &own) != XMEM_OK) return 1;
        const struct contender contender = {acquire_release, open_pool, name, 0, 500};
        contend(&contender);
        xmem_close(own);
    } else {
        struct list *list = mmap(NULL, sizeof *list, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (list == MAP_FAILED) return 1;
        for (uint32_t i = 0; i < SLOTS; i++) list->next[i] = i + 1;
        const struct contender contender = {pop_push, same, list, 0, 500};
        contend(&contender);
    }
    return 0;
}
