"""The cost of a buffer in Python, beside multiprocessing.shared_memory and a pipe in the same run.

Prints a line of JSON for each figure: nanoseconds, and the ratio to the yardstick of the same size,
the making of a numpy array over memory that is there already. Best of several rounds of a loop.

`hand over`: a process makes an array, another sums it up and answers; the time of one round trip.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.shared_memory
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python" / "src"))

import numpy as np

from xmem import Pool

SIZES = (4096, 1 << 20, 8 << 20)
ROUNDS = 5
pool_name = f"bench.py.{os.getpid()}"


def best(body: Callable[[], Any], least_s: float = 0.1) -> float:
    """Nanoseconds of one call, the best round's."""
    count, took = 1, 0.0
    while took < least_s:
        count *= 2
        took = timed(body, count)
    return min(timed(body, count) for _ in range(ROUNDS)) / count * 1e9


def timed(body: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        body()
    return time.perf_counter() - start


def report(what: str, size: int, nanoseconds: float, yardstick: float) -> None:
    ratio = round(nanoseconds / yardstick, 2)
    print(json.dumps({"what": what, "bytes": size, "ns": round(nanoseconds), "ratio": ratio}))


def alone(size: int) -> float:
    """What it costs to have an array in shared memory, and to give it back. Returns what one over
    memory that is there costs."""
    ready = bytearray(size)
    yardstick = best(lambda: np.ndarray((size,), np.uint8, ready))
    report("an array over memory that is there (the yardstick)", size, yardstick, yardstick)
    source = np.zeros(size, np.uint8)
    target = np.zeros(size, np.uint8)
    report("a copy of the bytes", size, best(lambda: np.copyto(target, source)), yardstick)
    with Pool.create(pool_name, capacity=4, buffer_size=size, ephemeral=True) as pool:

        def released() -> None:
            with pool.acquire(size):
                pass

        def seen() -> None:
            with pool.acquire(size) as guard:
                guard.array()

        def seen_and_left() -> None:
            with pool.acquire(size) as guard:
                seen_and_left.array = guard.array()  # type: ignore[attr-defined]

        report("xmem: acquire + release", size, best(released), yardstick)
        report("xmem: acquire + array + release", size, best(seen), yardstick)
        report("xmem: the same, and the array is left", size, best(seen_and_left), yardstick)
    with Pool.create(
        pool_name, capacity=4, buffer_size=size, ephemeral=True, views="shared"
    ) as pool:

        def shared() -> None:
            with pool.acquire(size) as guard:
                shared.array = guard.array()  # type: ignore[attr-defined]

        report('xmem: the same with views="shared"', size, best(shared), yardstick)

    def block() -> None:
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=size)
        np.ndarray((size,), np.uint8, memory.buf)
        memory.close()
        memory.unlink()

    report("shared_memory: create + array + close + unlink", size, best(block), yardstick)
    return yardstick


def answer_xmem(name: str) -> None:
    with Pool.open(name) as pool, pool.channel("there") as there, pool.channel("back") as back:
        for guard in there:
            guard.array("uint8")[0] = guard.array("uint8")[::4096].sum() & 0xFF
            back.send_blocking(guard)


def answer_shared_memory(name: str, connection: Any) -> None:
    memory = multiprocessing.shared_memory.SharedMemory(name)
    while (size := connection.recv()) is not None:
        array = np.ndarray((size,), np.uint8, memory.buf)
        array[0] = array[::4096].sum() & 0xFF
        del array
        connection.send(size)
    memory.close()


def answer_pipe(connection: Any) -> None:
    while (data := connection.recv_bytes()) != b"":
        array = np.frombuffer(data, np.uint8).copy()
        array[0] = array[::4096].sum() & 0xFF
        connection.send_bytes(array)


def handed_over(size: int, yardstick: float) -> None:
    context = multiprocessing.get_context("spawn")
    with Pool.create(pool_name, capacity=4, buffer_size=size, ephemeral=True) as pool:
        there, back = pool.channel("there"), pool.channel("back")
        process = context.Process(target=answer_xmem, args=(pool_name,))
        process.start()

        def round_trip() -> None:
            guard = pool.acquire(size)
            guard.array()[::4096] = 3
            there.send(guard)
            with back.receive_blocking() as answer:
                assert answer.size == size

        report("hand over: xmem channels", size, best(round_trip), yardstick)
        there.close()
        process.join()

    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=size)
    ours, theirs = context.Pipe()
    process = context.Process(target=answer_shared_memory, args=(memory.name, theirs))
    process.start()

    def with_pipe() -> None:
        np.ndarray((size,), np.uint8, memory.buf)[::4096] = 3
        ours.send(size)
        assert ours.recv() == size

    report("hand over: one shared_memory + a pipe for words", size, best(with_pipe), yardstick)
    ours.send(None)
    process.join()
    memory.close()
    memory.unlink()

    ours, theirs = context.Pipe()
    process = context.Process(target=answer_pipe, args=(theirs,))
    process.start()
    source = np.zeros(size, np.uint8)

    def through() -> None:
        source[::4096] = 3
        ours.send_bytes(source)
        assert len(ours.recv_bytes()) == size

    report("hand over: the bytes through a pipe", size, best(through), yardstick)
    ours.send_bytes(b"")
    process.join()


if __name__ == "__main__":
    for each in SIZES:
        handed_over(each, alone(each))
