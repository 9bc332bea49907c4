"""Buffers and channels between Python and Bun, in both directions. peer.ts is the other side."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from conftest import Programs

from xmem import Pool


def test_what_bun_sends_is_an_array(name: str, programs: Programs) -> None:
    producer = programs.bun("produce", name, "30")
    with Pool.open_or_create(name, capacity=4, buffer_size=65_536) as pool:
        got = []
        for frame in pool.channel("frames"):
            with frame:
                array = frame.array()
                assert (array.dtype, array.shape) == (np.float32, (2, 3))
                assert frame.meta.content_type == "test/bun"
                got.append((frame.meta.sequence, float(array.sum())))
        assert got == [(number, number * 6.0) for number in range(30)]
        producer.end()
        assert pool.stats().free == 4


def test_what_bun_sends_comes_to_an_event_loop(name: str, programs: Programs) -> None:
    programs.bun("produce", name, "30")

    async def main() -> list[int]:
        with Pool.open_or_create(name, capacity=4, buffer_size=65_536) as pool:
            got = []
            async for frame in pool.channel("frames"):
                with frame:
                    got.append(frame.meta.sequence)
            return got

    assert asyncio.run(main()) == list(range(30))


@pytest.mark.parametrize("form", ["blocking", "async"])
def test_what_python_sends_is_read_by_bun(pool: Pool, programs: Programs, form: str) -> None:
    consumer = programs.bun("consume", pool.name)
    frames = pool.channel("frames", capacity=2)
    array = np.arange(12, dtype=np.int16).reshape(3, 4)

    async def send_all() -> None:
        for number in range(20):
            guard = await pool.acquire_async(array.nbytes)
            guard.copy_from(array)
            guard.meta.sequence = number
            await frames.send_async(guard)

    if form == "async":
        asyncio.run(send_all())
    else:
        for number in range(20):
            guard = pool.acquire_blocking(array.nbytes)
            guard.copy_from(array)
            guard.meta.sequence = number
            frames.send_blocking(guard)
    frames.close()
    assert consumer.line() == "ready"
    said = [json.loads(line) for line in consumer.end().splitlines()]
    assert [each["sequence"] for each in said] == list(range(20))
    first = {key: said[0][key] for key in ("dtype", "shape", "strides", "size", "sum")}
    total = int(np.frombuffer(array.tobytes(), np.uint8).sum())
    assert first == {
        "dtype": "int16",
        "shape": [3, 4],
        "strides": [8, 2],
        "size": 24,
        "sum": total,
    }
    assert pool.stats().free == 4


def test_a_handle_goes_to_bun_and_back(pool: Pool, programs: Programs) -> None:
    with pool.acquire_copy(bytes([1, 2, 3])) as guard:
        taker = programs.bun("take", pool.name, str(guard.share()))
        assert taker.line() == "1 2 3"
        taker.end()
        assert guard.array().tolist() == [3, 2, 1]
    giver = programs.bun("handOff", pool.name)
    with pool.take(int(giver.line())) as taken:
        assert taken.array().tolist() == [7, 8, 9]
    giver.end()
    assert pool.stats().free == 4


@pytest.mark.parametrize("form", ["blocking", "async"])
def test_what_a_killed_bun_held_comes_to_python(pool: Pool, programs: Programs, form: str) -> None:
    holder = programs.bun("hold", pool.name)
    assert holder.line() == "holds 4"

    async def wait() -> None:
        waiting = asyncio.ensure_future(pool.acquire_async(8, timeout_ms=60_000))
        await asyncio.sleep(0.05)
        holder.kill()
        (await waiting).release()

    if form == "async":
        asyncio.run(wait())
    else:
        holder.kill()
        pool.acquire_blocking(8, timeout_ms=60_000).release()
    pool.reclaim()
    assert pool.stats().free == 4


def test_what_a_killed_python_held_comes_to_bun(pool: Pool, programs: Programs) -> None:
    source = """
        import sys, time
        from xmem import Pool
        pool = Pool.open(sys.argv[1])
        held = [pool.acquire(8) for _ in range(4)]
        arrays = [guard.array() for guard in held]
        print("holds", flush=True)
        time.sleep(1000)
        """
    holder = programs.python(source, pool.name)
    assert holder.line() == "holds"
    waiter = programs.bun("wait", pool.name)
    assert waiter.line() == "waits"
    holder.kill()
    assert waiter.line() == "got 8"
    waiter.end()
    pool.reclaim()
    assert pool.stats().free == 4


def test_a_job_of_a_killed_bun_comes_to_python(pool: Pool, programs: Programs) -> None:
    jobs = pool.channel("jobs", redeliver=True)
    worker = programs.bun("receiveAndStay", pool.name)
    jobs.send(pool.acquire(8))
    # This side has the channel open, too, and does not receive meanwhile.
    assert worker.line() == "delivery 1"
    worker.kill()
    with jobs.receive_blocking(timeout_ms=60_000) as job:
        assert job.deliveries == 2


def test_a_killed_python_leaves_its_channel_in_order(pool: Pool, programs: Programs) -> None:
    source = """
        import sys, time
        from xmem import Pool
        pool = Pool.open(sys.argv[1])
        frames = pool.channel("frames")
        for number in range(3):
            guard = pool.acquire(4)
            guard.meta.sequence = number
            frames.send(guard)
        held = pool.acquire(4)
        print("sent", flush=True)
        time.sleep(1000)
        """
    sender = programs.python(source, pool.name)
    assert sender.line() == "sent"
    sender.kill()
    frames = pool.channel("frames")
    frames.close()
    consumer = programs.bun("consume", pool.name)
    assert consumer.line() == "ready"
    said = [json.loads(line)["sequence"] for line in consumer.end().splitlines()]
    assert said == [0, 1, 2]
    pool.reclaim()
    assert pool.stats().free == 4
