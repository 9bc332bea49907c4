/* A buffer that goes to another process and back, in each way that carrier.h has. Arguments: the way,
 * and the sizes in bytes. "spin" is the yardstick: a word that goes back and forth between two
 * processes, both of which do nothing but look. */

#include "carrier.h"
#include "measure.h"

struct words {
    _Alignas(128) uint64_t to;
    _Alignas(128) uint64_t back;
};

static uint64_t trip;

static void spin(void *context, long count) {
    struct words *words = context;
    for (long i = 0; i < count; i++) {
        __atomic_store_n(&words->to, ++trip, __ATOMIC_RELEASE);
        while (__atomic_load_n(&words->back, __ATOMIC_ACQUIRE) != trip) {
        }
    }
}

static void spin_back(struct words *words) {
    for (uint64_t next = 1;; next++) {
        while (__atomic_load_n(&words->to, __ATOMIC_ACQUIRE) != next) {
        }
        __atomic_store_n(&words->back, next, __ATOMIC_RELEASE);
    }
}

static void carry(void *context, long count) {
    const struct carrier *carrier = context;
    for (long i = 0; i < count; i++) {
        *(volatile uint8_t *)carrier->claim() = (uint8_t)i;
        carrier->send();
        const uint8_t first = *(volatile uint8_t *)carrier->receive();
        if (first != (uint8_t)i) carrier_fail("another buffer came back");
        carrier->done();
    }
}

static double measured(const char *way, size_t size) {
    double took;
    pid_t child;
    if (strcmp(way, "spin") == 0) {
        struct words *words = mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (words == MAP_FAILED) carrier_fail("mmap");
        trip = 0;
        if ((child = fork()) == 0) spin_back(words);
        took = measure(spin, words);
    } else {
        const struct carrier *carrier = carrier_named(way);
        carrier->prepare(size);
        if ((child = fork()) == 0) {
            carrier->join(1);
            for (;;) {
                carrier->receive();
                carrier->reply();
            }
        }
        carrier->join(0);
        took = measure(carry, (void *)carrier);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return took;
}

int main(int argc, char **argv) {
    if (argc < 3) return 1;
    printf("{");
    for (int i = 2; i < argc; i++) {
        fflush(stdout);
        const double took = measured(argv[1], (size_t)atol(argv[i])) / 1e3;
        printf("%s\"%s\": %.4f", i == 2 ? "" : ", ", argv[i], took);
    }
    printf("}\n");
    return 0;
}
