/* What a producer and a consumer do with a frame, the same machine code for every language. */

#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>

/** Writes the value into every word. */
void frames_fill(void *frame, size_t size, uint32_t value);

/** The sum of every word. */
uint64_t frames_sum(const void *frame, size_t size);

/** Adds the value to every word. */
void frames_add(void *frame, size_t size, uint32_t value);

/** The monotonic clock, which all processes share, in nanoseconds since boot. */
double frames_now_ns(void);

#endif
