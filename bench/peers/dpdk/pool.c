/* DPDK's rte_mempool: an object taken and given back, by one thread or by several, with the cache per
 * core that DPDK's own threads have, or without. It starts without huge pages, devices and privileges.
 * Arguments: "acquire" and the size of the cache, or "contend". */

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <string.h>

#include "../../c/contend.h"

enum { SLOTS = 63, SIZE = 4096 };

static void get_put(void *context, long count) {
    for (long i = 0; i < count; i++) {
        void *object = NULL;
        if (rte_mempool_get(context, &object) != 0) exit(1);
        *(volatile unsigned char *)object = (unsigned char)i;
        rte_mempool_put(context, object);
    }
}

static void *same(void *context) { return context; }

int main(int argc, char **argv) {
    char *arguments[] = {argv[0],    "--no-huge",       "--no-pci",   "--no-telemetry", "--no-shconf",
                         "-m",       "64",              "--lcores",   "0",              "--log-level",
                         "critical", NULL};
    const int count = sizeof arguments / sizeof *arguments - 1;
    if (rte_eal_init(count, arguments) < 0) return 1;
    const unsigned cache = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    struct rte_mempool *pool = rte_mempool_create("bench", SLOTS, SIZE, cache, 0, NULL, NULL, NULL,
                                                  NULL, SOCKET_ID_ANY, 0);
    if (pool == NULL) return 1;
    if (argc > 1 && strcmp(argv[1], "contend") == 0) {
        const struct contender contender = {get_put, same, pool, 1, 10};
        contend(&contender);
    } else {
        printf("{\"ns\": %.3f}\n", measure(get_put, pool));
    }
    return 0;
}
