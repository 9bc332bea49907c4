"""The clock of the programs in Python, as bench/c/measure.h is that of the ones in C, and the machine
code that fills and sums frames."""

import ctypes
import os
import time

DEPTH = 4
FRAME = 1920 * 1080 * 3


def measure(batch):
    """Nanoseconds of one operation: the median of the batches of about 200 us, or of one operation."""
    room = float(os.environ.get("XMEM_BENCH_MS", "100")) * 1e6
    count = 1
    warm_until = time.monotonic_ns() + room / 2
    while True:
        start = time.monotonic_ns()
        batch(count)
        end = time.monotonic_ns()
        if end > warm_until:
            break
        if end - start < 200e3:
            count *= 2
    took = []
    until = time.monotonic_ns() + room
    while len(took) < 3 or time.monotonic_ns() < until:
        start = time.monotonic_ns()
        batch(count)
        took.append((time.monotonic_ns() - start) / count)
    return sorted(took)[len(took) // 2]


def quantiles(late):
    late = sorted(late)
    count = len(late)
    return {
        "p50": late[count // 2],
        "p99": late[count * 99 // 100],
        "p99.9": late[count * 999 // 1000],
    }


def frames_library():
    library = ctypes.CDLL(os.environ["XMEM_FRAMES"] + "/libframes.so")
    library.frames_fill.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32]
    library.frames_sum.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.frames_sum.restype = ctypes.c_uint64
    return library
