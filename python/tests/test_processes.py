"""Other processes of Python: spawned, forked, killed, and interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest
from conftest import Programs, code_of

from xmem import Pool


def double(name: str, source: str, sink: str) -> None:
    """A stage of a pipeline, which works in place."""
    with Pool.open(name) as pool, pool.channel(source) as frames, pool.channel(sink) as doubled:
        for frame in frames:
            frame.array()[:] *= 2
            doubled.send_blocking(frame)
        doubled.close()


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_of_multiprocessing_share_a_pool(pool: Pool, name: str, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    source, sink = pool.channel("in"), pool.channel("out")
    process = context.Process(target=double, args=(name, "in", "out"))
    process.start()
    for number in range(10):
        guard = pool.acquire_array((100,), "float64")
        guard.array()[:] = number
        source.send_blocking(guard)
        with sink.receive_blocking(timeout_ms=60_000) as frame:
            assert frame.array().tolist() == [number * 2.0] * 100
    source.close()
    assert code_of(lambda: sink.receive_blocking(timeout_ms=60_000)) == "CHANNEL_CLOSED"
    process.join()
    assert process.exitcode == 0
    assert pool.stats().free == 4


def test_a_fork_has_nothing_of_its_parents_pool(pool: Pool, name: str) -> None:
    guard = pool.acquire(8)
    array = guard.array()
    array[:] = 3
    channel = pool.channel("c")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert code_of(lambda: pool.acquire(8)) == "POOL_CLOSED"
            assert code_of(channel.try_receive) == "POOL_CLOSED"
            # What is seen through an array is the parent's buffer until the guard ends here.
            assert array.sum() == 24
            guard.release()
            assert array.sum() == 0
            pool.close()
            with Pool.open(name) as mine:
                mine.acquire(8).release()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert array.sum() == 24
    guard.release()
    assert pool.stats().free == 4


def test_what_a_killed_process_held_comes_back(name: str, programs: Programs) -> None:
    source = """
        import sys, time
        from xmem import Pool
        pool = Pool.open(sys.argv[1])
        held = [pool.acquire(8) for _ in range(4)]
        arrays = [guard.array() for guard in held]
        print("holds", flush=True)
        time.sleep(1000)
        """
    with Pool.create(name, capacity=4) as pool:
        holder = programs.python(source, name)
        assert holder.line() == "holds"
        assert pool.try_acquire(8) is None
        waiter = threading.Timer(0.1, holder.kill)
        waiter.start()
        with pool.acquire_blocking(8, timeout_ms=60_000) as guard:
            assert guard.size == 8
        waiter.join()
        pool.reclaim()
        assert pool.stats().free == 4


def test_a_killed_receiver_brings_its_job_back(name: str, programs: Programs) -> None:
    source = """
        import sys, time
        from xmem import Pool
        pool = Pool.open(sys.argv[1])
        with pool.channel("jobs").receive_blocking() as job:
            print(job.deliveries, flush=True)
            time.sleep(1000)
        """
    with Pool.create(name, capacity=4) as pool:
        jobs = pool.channel("jobs", redeliver=True)
        jobs.send(pool.acquire(8))
        worker = programs.python(source, name)
        assert worker.line() == "1"
        worker.kill()
        with jobs.receive_blocking(timeout_ms=60_000) as job:
            assert job.deliveries == 2
        assert pool.stats().free == 4


@pytest.mark.parametrize("what", ["acquire", "receive", "send", "any"])
def test_an_interrupt_ends_a_blocking_wait_and_takes_nothing(
    name: str, programs: Programs, what: str
) -> None:
    source = """
        import sys
        from xmem import Pool, wait_any
        name, what = sys.argv[1:]
        pool = Pool.open(name)
        channel = pool.channel("c", capacity=1)
        full = pool.channel("full", capacity=1)
        guard = pool.acquire(8)
        print("waits", flush=True)
        try:
            if what == "acquire": pool.acquire_blocking(8)
            if what == "receive": channel.receive_blocking()
            if what == "send": full.send_blocking(guard)
            if what == "any": wait_any([channel])
        except KeyboardInterrupt:
            print("interrupted")
        guard.array()
        guard.release()
        """
    with Pool.create(name, capacity=2) as pool:
        full = pool.channel("full", capacity=1)
        full.send(pool.acquire(8))
        program = programs.python(source, name, what)
        assert program.line() == "waits"
        while not any(
            each.waiting for each in pool.stats().participants if each.pid == program.process.pid
        ) and not any(
            each.waiting_receivers or each.waiting_senders for each in pool.stats().channels
        ):
            pass
        program.process.send_signal(signal.SIGINT)
        assert program.end() == "interrupted\n"
        full.receive_blocking().release()
        assert pool.stats().free == 2


def test_signal_handlers_run_while_a_thread_waits(name: str, programs: Programs) -> None:
    source = """
        import signal, sys, threading, os
        from xmem import Pool
        pool = Pool.create(sys.argv[1], capacity=1)
        guard = pool.acquire(8)
        def handle(*_):
            print("handled", flush=True)
            guard.release()
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pool.acquire_blocking(16) as got:
            print(got.size)
        """
    assert programs.python(source, name).end() == "handled\n16\n"


def wait_for_end(thread: threading.Thread) -> None:
    """Until 3.12 `join` returns while the system's thread still has its last steps to go."""
    while os.path.exists(f"/proc/self/task/{thread.native_id}"):
        time.sleep(0.001)


def test_threads_each_open_the_pool_and_give_it_up_at_their_end(name: str) -> None:
    with Pool.create(name, capacity=8) as pool:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                with Pool.open(name, participant_name=f"worker {number}") as mine:
                    for turn in range(200):
                        with mine.acquire_blocking(64) as guard:
                            array = guard.array()
                            array[:] = number
                            assert array.tolist() == [number] * 64, turn
                if number == 0:
                    # One that ends without having closed.
                    left = Pool.open(name)
                    left.acquire(8)._ended = "left on purpose"
                    left._descriptor = 0
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            wait_for_end(thread)
        assert failures == []
        pool.reclaim()
        stats = pool.stats()
        assert (stats.free, stats.alive) == (8, 1)
