"""xmem from Python. Arguments: "acquire" and "bare" or "bytes"; "hand-over" and the sizes; "throughput"
and how many frames the other process fills and this one sums; or "wake" and how many buffers the other
process sends, one a millisecond."""

import ctypes
import json
import os
import subprocess
import sys
import time

from measure import DEPTH, FRAME, frames_library, measure, quantiles
from xmem import Pool

WAIT_MS = 20_000


def acquire(how):
    pool = Pool.create(f"bench.acquire.{os.getpid()}", capacity=64, buffer_size=65536, ephemeral=True)

    def bare(count):
        for _ in range(count):
            with pool.acquire(4096):
                pass

    def touched(count):
        for i in range(count):
            with pool.acquire(4096) as guard:
                guard.buffer[0] = i & 255

    took = measure(bare if how == "bare" else touched)
    pool.close()
    return {"ns": took}


class Side:
    """A pool with a channel for each direction; this process is side 0, the one that it starts 1."""

    def __init__(self, number, name, size):
        self.size = size
        if number == 0:
            self.pool = Pool.create(name, capacity=DEPTH, buffer_size=size, ephemeral=True)
        else:
            self.pool = Pool.open(name)
        channels = [self.pool.channel("to side 1"), self.pool.channel("to side 0")]
        self.to, self.source = channels[number], channels[1 - number]

    def claim(self):
        return self.pool.acquire_blocking(self.size, timeout_ms=WAIT_MS)

    def receive(self):
        return self.source.receive_blocking(timeout_ms=WAIT_MS)


def begin(task, size, count):
    name = f"bench.python.{os.getpid()}.{size}"
    side = Side(0, name, size)
    other = subprocess.Popen([sys.executable, __file__, task, name, str(size), str(count)])
    return side, other


def end(side, other):
    other.kill()
    other.wait()
    side.pool.close()


def address(guard):
    return ctypes.addressof(ctypes.c_char.from_buffer(guard.buffer))


def echo(name, size):
    side = Side(1, name, size)
    while True:
        side.to.send(side.receive())


def produce(name, size, count):
    library = frames_library()
    side = Side(1, name, size)
    for i in range(count):
        guard = side.claim()
        library.frames_fill(address(guard), size, i)
        side.to.send(guard)
    time.sleep(60)


def send_times(name, size, count):
    side = Side(1, name, size)
    for _ in range(count):
        time.sleep(0.001)
        guard = side.claim()
        guard.meta.timestamp = time.monotonic_ns()
        side.to.send(guard)
    time.sleep(60)


def hand_over(size):
    side, other = begin("echo", size, 0)

    def trips(count):
        for i in range(count):
            guard = side.claim()
            guard.buffer[0] = i & 255
            side.to.send(guard)
            with side.receive() as back:
                if back.buffer[0] != i & 255:
                    raise ValueError("another buffer came back")

    took = measure(trips)
    end(side, other)
    return took / 1e3


def throughput(count):
    library = frames_library()
    side, other = begin("produce", FRAME, count)
    start = 0
    for i in range(count):
        with side.receive() as guard:
            if library.frames_sum(address(guard), FRAME) != i * (FRAME // 4):
                raise ValueError("another frame came")
        if i == count // 4:
            start = time.monotonic_ns()
    took = time.monotonic_ns() - start
    end(side, other)
    return {"gbps": (count - 1 - count // 4) * FRAME / took}


def wake(count):
    side, other = begin("send-times", 4096, count)
    late = []
    cpu, start = time.process_time_ns(), time.monotonic_ns()
    for _ in range(count):
        with side.receive() as guard:
            late.append((time.monotonic_ns() - guard.meta.timestamp) / 1e3)
    used = 100 * (time.process_time_ns() - cpu) / (time.monotonic_ns() - start)
    end(side, other)
    return quantiles(late) | {"cpu": used}


def main(task, *rest):
    if task == "echo":
        echo(rest[0], int(rest[1]))
    elif task == "produce":
        produce(rest[0], int(rest[1]), int(rest[2]))
    elif task == "send-times":
        send_times(rest[0], int(rest[1]), int(rest[2]))
    elif task == "acquire":
        print(json.dumps(acquire(rest[0])))
    elif task == "throughput":
        print(json.dumps(throughput(int(rest[0]))))
    elif task == "wake":
        print(json.dumps(wake(int(rest[0]))))
    else:
        print(json.dumps({size: hand_over(int(size)) for size in rest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
