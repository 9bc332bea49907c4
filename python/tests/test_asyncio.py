"""Waiting in event loops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from conftest import code_of

from xmem import Guard, Pool, XmemError


async def fails_with(awaitable: Any) -> str:
    with pytest.raises(XmemError) as caught:
        await awaitable
    return caught.value.code


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_buffer_comes_when_one_is_released(pool: Pool) -> None:
    async def main() -> None:
        held = [await pool.acquire_async(8) for _ in range(4)]
        waiting = asyncio.ensure_future(pool.acquire_async(16))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        held.pop().release()
        with await waiting as guard:
            assert guard.size == 16
        for guard in held:
            guard.release()

    asyncio.run(main())
    assert pool.stats().free == 4


def test_tasks_are_served_in_the_order_in_which_they_asked(pool: Pool) -> None:
    served: list[int] = []

    async def work(number: int) -> None:
        with await pool.acquire_async(8):
            served.append(number)
            await turns()

    async def main() -> None:
        held = [pool.acquire(8) for _ in range(4)]
        tasks = [asyncio.ensure_future(work(number)) for number in range(50)]
        await turns()
        for guard in held:
            guard.release()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert served == list(range(50))
    assert pool.stats().free == 4


def test_a_task_that_is_cancelled_takes_nothing(pool: Pool) -> None:
    async def main() -> None:
        channel = pool.channel("c", capacity=1)
        held = [pool.acquire(8) for _ in range(4)]
        tasks = [asyncio.ensure_future(pool.acquire_async(8)) for _ in range(3)]
        await turns()
        tasks[0].cancel()
        held.pop().release()
        tasks[1].cancel()
        with await tasks[2]:
            pass
        assert [task.cancelled() for task in tasks] == [True, True, False]
        # Also where the cancel comes after the wake.
        receiving = asyncio.ensure_future(channel.receive())
        await turns()
        channel.send(held.pop())
        await asyncio.sleep(0.02)
        late = asyncio.ensure_future(channel.receive())
        late.cancel()
        await turns()
        (await receiving).release()
        for _ in range(20):
            receiving = asyncio.ensure_future(channel.receive())
            await turns()
            channel.send(pool.acquire(8))
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            (await channel.receive()).release()
        # And a guard that was to be sent stays.
        channel.send(pool.acquire(8))
        with pool.acquire(8) as guard:
            sending = asyncio.ensure_future(channel.send_async(guard))
            await turns()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            assert guard.array().size == 8
        (await channel.receive()).release()
        for guard in held:
            guard.release()

    asyncio.run(main())
    assert pool.stats().free == 4


def test_a_wait_ends_with_its_time(pool: Pool) -> None:
    async def main() -> None:
        held = [pool.acquire(8) for _ in range(4)]
        assert await fails_with(pool.acquire_async(8, timeout_ms=0)) == "TIMEOUT"
        first = asyncio.ensure_future(fails_with(pool.acquire_async(8, timeout_ms=30)))
        second = asyncio.ensure_future(pool.acquire_async(8, timeout_ms=60_000))
        assert await first == "TIMEOUT"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.acquire_async(8), 0.02)
        held.pop().release()
        (await second).release()
        channel = pool.channel("c")
        assert await fails_with(channel.receive(timeout_ms=20)) == "TIMEOUT"
        for guard in held:
            guard.release()

    asyncio.run(main())
    assert pool.stats().free == 4
    assert pool.stats().waiters == 0


def test_frames_are_iterated_over_until_the_channel_is_closed(pool: Pool) -> None:
    async def main() -> list[int]:
        channel = pool.channel("c", capacity=2)

        async def produce() -> None:
            for number in range(20):
                guard = await pool.acquire_async(8)
                guard.meta.sequence = number
                await channel.send_async(guard)
            channel.close()

        producing = asyncio.ensure_future(produce())
        got = []
        async for frame in channel:
            with frame:
                got.append(frame.meta.sequence)
        await producing
        await channel.wait_closed()
        assert await fails_with(channel.receive()) == "CHANNEL_CLOSED"
        return got

    assert asyncio.run(main()) == list(range(20))
    assert pool.stats().free == 4


def test_a_close_is_waited_for(pool: Pool) -> None:
    async def main() -> None:
        channel, other = pool.channel("c"), pool.channel("c")
        waiting = asyncio.ensure_future(channel.wait_closed())
        receiving = asyncio.ensure_future(fails_with(channel.receive()))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        other.close()
        await waiting
        assert await receiving == "CHANNEL_CLOSED"

    asyncio.run(main())


def test_those_who_wait_are_told_of_the_end(name: str) -> None:
    async def main() -> None:
        pool = Pool.create(name, capacity=1)
        guard = pool.acquire(8)
        channel = pool.channel("c")
        waits = [
            asyncio.ensure_future(fails_with(each))
            for each in (pool.acquire_async(8), pool.acquire_async(8), channel.receive())
        ]
        await turns()
        left = asyncio.ensure_future(fails_with(pool.channel("d").receive()))
        await turns()
        pool.flush()
        assert await asyncio.gather(*waits[:2]) == ["POOL_FLUSHING"] * 2
        pool.unflush()
        again = asyncio.ensure_future(fails_with(pool.acquire_async(8)))
        await turns()
        pool.close()
        assert await asyncio.gather(waits[2], left, again) == ["POOL_CLOSED"] * 3
        assert await fails_with(pool.acquire_async(8)) == "POOL_CLOSED"
        del guard

    asyncio.run(main())


def test_a_channel_that_is_left_ends_its_waits(pool: Pool) -> None:
    async def main() -> None:
        channel = pool.channel("c")
        receiving = asyncio.ensure_future(fails_with(channel.receive()))
        await turns()
        channel.leave()
        assert await receiving == "CHANNEL_CLOSED"
        assert await fails_with(channel.receive()) == "CHANNEL_CLOSED"

    asyncio.run(main())


def test_one_loop_after_another_waits_at_the_same_pool(pool: Pool) -> None:
    channel = pool.channel("c")

    async def main() -> None:
        held = [pool.acquire(8) for _ in range(4)]
        waiting = asyncio.ensure_future(pool.acquire_async(8))
        receiving = asyncio.ensure_future(channel.receive())
        await turns()
        channel.send(held.pop())
        (await receiving).release()
        (await waiting).release()
        for guard in held:
            guard.release()

    for _ in range(5):
        asyncio.run(main())
    assert pool.stats().free == 4


def test_a_loop_that_ends_while_it_waits_leaves_the_pool_well(pool: Pool) -> None:
    held = [pool.acquire(8) for _ in range(4)]

    async def main() -> None:
        for _ in range(3):
            asyncio.ensure_future(pool.acquire_async(8))  # noqa: RUF006
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert pool.stats().waiters == 0
    for guard in held:
        guard.release()

    async def again() -> None:
        (await pool.acquire_async(8)).release()

    asyncio.run(again())


def test_each_thread_has_a_loop_of_its_own(name: str) -> None:
    count = 40
    with Pool.create(name, capacity=2) as pool:
        totals: list[int] = []

        def consume() -> None:
            async def main() -> None:
                with Pool.open(name) as mine, mine.channel("c") as channel:
                    got = 0
                    async for frame in channel:
                        with frame:
                            got += 1
                    totals.append(got)

            asyncio.run(main())

        async def produce() -> None:
            channel = pool.channel("c")
            threads = [threading.Thread(target=consume) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(count):
                await channel.send_async(await pool.acquire_async(8))
            channel.close()
            for thread in threads:
                await asyncio.get_running_loop().run_in_executor(None, thread.join)

        asyncio.run(produce())
        assert sum(totals) == count
        assert pool.stats().free == 2


def test_arguments_are_checked_at_once(pool: Pool) -> None:
    async def main() -> None:
        for wrong in (-1, 1.5, "1", True):
            assert await fails_with(pool.acquire_async(wrong)) == "INVALID_ARGUMENT"
            waiting = pool.acquire_async(8, timeout_ms=wrong)
            assert await fails_with(waiting) == "INVALID_ARGUMENT"
        assert await fails_with(pool.acquire_async(2**20)) == "TOO_LARGE"
        channel = pool.channel("c")
        assert await fails_with(channel.send_async(None)) == "INVALID_ARGUMENT"
        guard: Guard = pool.acquire(8)
        guard.release()
        assert await fails_with(channel.send_async(guard)) == "RELEASED"

    asyncio.run(main())
    assert code_of(lambda: pool.acquire(-1)) == "INVALID_ARGUMENT"
