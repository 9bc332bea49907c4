"""Channels within one process."""

from __future__ import annotations

import threading

import pytest
from conftest import code_of

from xmem import Pool, XmemError, wait_any


def test_buffers_come_in_the_order_in_which_they_were_sent(pool: Pool) -> None:
    with pool.channel("c") as channel:
        for number in (1, 2, 3):
            guard = pool.acquire(8)
            guard.meta.sequence = number
            assert channel.send(guard)
            assert code_of(guard.array) == "RELEASED"
            guard.release()
        channel.close()
        channel.close()
        got = []
        for guard in channel:
            with guard:
                assert guard.writable
                got.append(guard.meta.sequence)
        assert got == [1, 2, 3]
        assert code_of(channel.try_receive) == "CHANNEL_CLOSED"
        with pool.acquire(8) as guard:
            assert code_of(lambda: channel.send(guard)) == "CHANNEL_CLOSED"
            guard.array()
    assert pool.stats().free == 4


def test_a_full_channel_does_what_its_overflow_says(pool: Pool) -> None:
    answers = {}
    for overflow in ("block", "drop-newest", "drop-oldest"):
        with pool.channel(overflow, capacity=2, overflow=overflow) as channel:
            said = []
            for size in (1, 2, 3):
                with pool.acquire(size) as guard:
                    try:
                        said.append(channel.send(guard))
                    except XmemError as error:
                        said.append(error.code)
            with pool.acquire(4) as guard:
                assert not channel.try_send(guard)
                assert code_of(lambda: channel.send_blocking(guard, timeout_ms=10)) == "TIMEOUT"
                guard.array()
            sizes = []
            while (received := channel.try_receive()) is not None:
                with received:
                    sizes.append(received.size)
            answers[overflow] = (said, sizes)
    assert answers == {
        "block": ([True, True, "CHANNEL_FULL"], [1, 2]),
        "drop-newest": ([True, True, False], [1, 2]),
        "drop-oldest": ([True, True, True], [2, 3]),
    }
    assert pool.stats().free == 4


def test_a_broadcast_goes_to_all_who_only_read(pool: Pool) -> None:
    options = {"mode": "broadcast", "capacity": 4, "history": 1, "overflow": "drop-oldest"}
    with pool.channel("news", subscribe=False, **options) as source, pool.channel("news") as early:
        source.send(pool.acquire(1))
        source.send(pool.acquire(2))
        with pool.channel("news") as late:
            for channel, sizes in ((early, [1, 2]), (late, [2])):
                got = []
                while (guard := channel.try_receive()) is not None:
                    with guard:
                        assert not guard.writable
                        assert not guard.array().flags.writeable
                        got.append(guard.size)
                assert got == sizes
            assert code_of(source.try_receive) == "INVALID_ARGUMENT"
            stats = source.stats()
            assert (stats.mode, stats.history, len(stats.subscriptions)) == ("broadcast", 1, 2)
        assert [each.received for each in early.stats().subscriptions] == [2]


def test_a_channel_that_exists_must_be_as_asked(pool: Pool) -> None:
    with pool.channel("c", capacity=2) as channel:
        assert channel.stats().capacity == 2
        pool.channel("c", capacity=2).leave()
        assert code_of(lambda: pool.channel("c", capacity=3)) == "OPTIONS_MISMATCH"
        assert code_of(lambda: pool.channel("c", mode="broadcast")) == "OPTIONS_MISMATCH"


def test_a_channel_that_was_left_goes_on_for_others(pool: Pool) -> None:
    with pool.channel("c") as channel:
        with pool.channel("c") as other:
            other.send(pool.acquire(3))
        other.leave()
        assert code_of(other.try_receive) == "CHANNEL_CLOSED"
        with pytest.raises(XmemError):
            next(iter(other))
        with channel.receive_blocking(timeout_ms=1000) as guard:
            assert guard.size == 3
        assert code_of(lambda: channel.receive_blocking(timeout_ms=10)) == "TIMEOUT"
        assert code_of(lambda: channel.receive_blocking(timeout_ms=0)) == "TIMEOUT"
        assert "c" in [each.name for each in pool.stats().channels]


def test_one_of_several_places_has_something(pool: Pool) -> None:
    with pool.channel("a") as first, pool.channel("b") as second:
        assert code_of(lambda: wait_any([first, second], timeout_ms=10)) == "TIMEOUT"
        assert wait_any([first, pool], timeout_ms=0) == 1
        second.send(pool.acquire(8))
        assert wait_any([first, second]) == 1
        second.receive_blocking().release()
        assert code_of(lambda: wait_any([], timeout_ms=0)) == "INVALID_ARGUMENT"


def test_a_blocking_wait_ends_when_something_comes(name: str) -> None:
    with Pool.create(name, capacity=2) as pool, pool.channel("c") as channel:
        held = [pool.acquire(8), pool.acquire(8)]
        waits = threading.Event()

        def work() -> None:
            with Pool.open(name) as mine, mine.channel("c") as other:
                waits.set()
                guard = mine.acquire_blocking(16)
                other.send_blocking(guard)

        thread = threading.Thread(target=work)
        thread.start()
        waits.wait()
        held.pop().release()
        with channel.receive_blocking() as guard:
            assert guard.size == 16
        thread.join()
        held.pop().release()
        assert pool.stats().free == 2


def test_what_was_received_again_says_how_often(pool: Pool) -> None:
    with pool.channel("jobs", redeliver=True, max_deliveries=2, dead_letter="failed") as jobs:
        jobs.send(pool.acquire(8))
        with jobs.receive_blocking() as job:
            assert job.deliveries == 1
        with pool.acquire(8) as plain:
            assert plain.deliveries == 0
        stats = jobs.stats()
        assert (stats.redeliver, stats.max_deliveries, stats.redelivered) == (True, 2, 0)


def test_errors_speak_of_what_was_called_and_of_python(name: str) -> None:
    with Pool.create(name, capacity=2) as pool:
        with pytest.raises(XmemError, match=r"open_or_create\(\).* replace_abandoned=True"):
            Pool.create(name)
        channel = pool.channel("c")
        channel.close()
        with pytest.raises(XmemError, match=r"^CHANNEL_CLOSED: receive_blocking\(\) of"):
            channel.receive_blocking(timeout_ms=0)
        guard = pool.acquire(4)
    with pytest.raises(XmemError, match=r"^POOL_CLOSED: .* the pool is closed in this process$"):
        guard.array()
    assert Pool.unlink(name)
