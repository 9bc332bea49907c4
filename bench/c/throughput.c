/* Frames that one process fills and another one sums, in each way that carrier.h has. Arguments: the
 * way and how many frames. "memcpy" is one process that copies them. */

#include "carrier.h"
#include "frames.h"

enum { FRAME = 1920 * 1080 * 3 };

static void copy(uint32_t count) {
    uint8_t *from = malloc(FRAME), *to = malloc(FRAME);
    frames_fill(from, FRAME, 1);
    memcpy(to, from, FRAME);
    const double start = frames_now_ns();
    for (uint32_t i = 0; i < count; i++) {
        memcpy(to, from, FRAME);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    printf("{\"gbps\": %.4f}\n", (double)count * FRAME / (frames_now_ns() - start));
}

int main(int argc, char **argv) {
    if (argc < 3) return 1;
    const uint32_t count = (uint32_t)atoi(argv[2]);
    if (strcmp(argv[1], "memcpy") == 0) {
        copy(count);
        return 0;
    }
    const struct carrier *carrier = carrier_named(argv[1]);
    carrier->prepare(FRAME);
    const pid_t child = fork();
    if (child == 0) {
        carrier->join(1);
        for (uint32_t i = 0; i < count; i++) {
            frames_fill(carrier->claim(), FRAME, i);
            carrier->send();
        }
        pause();
    }
    carrier->join(0);
    double start = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (frames_sum(carrier->receive(), FRAME) != (uint64_t)i * (FRAME / 4))
            carrier_fail("another frame came");
        carrier->done();
        if (i == count / 4) start = frames_now_ns();
    }
    const double counted = count - 1 - count / 4;
    printf("{\"gbps\": %.4f}\n", counted * FRAME / (frames_now_ns() - start));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
