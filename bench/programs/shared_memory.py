"""Python's own way to hand a buffer over: multiprocessing.shared_memory holds the frames, and a Queue
carries which of them is meant. Arguments: "hand-over" and the sizes; "throughput" and how many
frames the other process fills and this one sums; or "wake" and how many messages the other process
sends, one a millisecond."""

import ctypes
import json
import os
import sys
import time
from multiprocessing import Process, Queue, shared_memory

from measure import DEPTH, FRAME, frames_library, measure, quantiles


def echo(name, to, back):
    memory = shared_memory.SharedMemory(name)
    while True:
        place = to.get()
        assert memory.buf[place] < 256
        back.put(place)


def hand_over(size):
    memory = shared_memory.SharedMemory(create=True, size=size)
    to, back = Queue(), Queue()
    other = Process(target=echo, args=(memory.name, to, back))
    other.start()

    def trips(count):
        for i in range(count):
            memory.buf[0] = i & 255
            to.put(0)
            place = back.get()
            if memory.buf[place] != i & 255:
                raise ValueError("another buffer came back")

    took = measure(trips)
    other.kill()
    other.join()
    memory.close()
    memory.unlink()
    return took / 1e3


def addresses(memory):
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory.buf))
    return [first + place * FRAME for place in range(DEPTH)]


def produce(name, count, free, full):
    library = frames_library()
    memory = shared_memory.SharedMemory(name)
    frames = addresses(memory)
    for i in range(count):
        place = free.get()
        library.frames_fill(frames[place], FRAME, i)
        full.put(place)
    full.close()
    full.join_thread()
    os._exit(0)


def throughput(count):
    library = frames_library()
    memory = shared_memory.SharedMemory(create=True, size=DEPTH * FRAME)
    frames = addresses(memory)
    free, full = Queue(), Queue()
    for place in range(DEPTH):
        free.put(place)
    other = Process(target=produce, args=(memory.name, count, free, full))
    other.start()
    start = 0
    for i in range(count):
        place = full.get()
        if library.frames_sum(frames[place], FRAME) != i * (FRAME // 4):
            raise ValueError("another frame came")
        free.put(place)
        if i == count // 4:
            start = time.monotonic_ns()
    took = time.monotonic_ns() - start
    other.join()
    memory.unlink()
    return (count - 1 - count // 4) * FRAME / took


def send_times(count, to):
    for _ in range(count):
        time.sleep(0.001)
        to.put(time.monotonic_ns())


def wake(count):
    to = Queue()
    other = Process(target=send_times, args=(count, to))
    other.start()
    late = []
    cpu, start = time.process_time_ns(), time.monotonic_ns()
    for _ in range(count):
        sent = to.get()
        late.append((time.monotonic_ns() - sent) / 1e3)
    used = 100 * (time.process_time_ns() - cpu) / (time.monotonic_ns() - start)
    other.join()
    return quantiles(late) | {"cpu": used}


if __name__ == "__main__":
    if sys.argv[1] == "wake":
        print(json.dumps(wake(int(sys.argv[2]))), flush=True)
    elif sys.argv[1] == "throughput":
        print(json.dumps({"gbps": throughput(int(sys.argv[2]))}), flush=True)
    else:
        print(json.dumps({size: hand_over(int(size)) for size in sys.argv[2:]}), flush=True)
    os._exit(0)
