#include "frames.h"

#include <time.h>

void frames_fill(void *frame, size_t size, uint32_t value) {
    uint32_t *words = frame;
    for (size_t i = 0; i < size / sizeof *words; i++) words[i] = value;
}

uint64_t frames_sum(const void *frame, size_t size) {
    const uint32_t *words = frame;
    uint64_t sum = 0;
    for (size_t i = 0; i < size / sizeof *words; i++) sum += words[i];
    return sum;
}

void frames_add(void *frame, size_t size, uint32_t value) {
    uint32_t *words = frame;
    for (size_t i = 0; i < size / sizeof *words; i++) words[i] += value;
}

double frames_now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}
