"""Arrays that outlive their guards, guards that are lost, and pools that are closed under them."""

from __future__ import annotations

import gc
import os
import platform
import threading
import weakref
from typing import Any, Callable

import numpy as np
import pytest
from conftest import Programs, code_of

import xmem
from xmem import Guard, Pool


def mapped(name: str) -> int:
    """How many mappings of a pool this process has."""
    inode = os.stat(f"{os.environ.get('XMEM_DIR', '/dev/shm')}/xmem.{name}").st_ino
    with open("/proc/self/maps") as maps:
        return sum(int(line.split()[4]) == inode for line in maps)


def is_mapped(address: int) -> bool:
    with open("/proc/self/maps") as maps:
        ranges = [line.split()[0].split("-") for line in maps]
    return any(int(first, 16) <= address < int(end, 16) for first, end in ranges)


def views_of(guard: Guard) -> list[Any]:
    """All that can be made of a guard's bytes, from which the guard cannot take them back."""
    array = guard.array()
    return [array, array[2:], memoryview(array), np.from_dlpack(guard), guard.buffer, array.T]


ends: dict[str, Callable[[Pool, Guard], Any]] = {
    "release": lambda pool, guard: guard.release(),
    "hand_off": lambda pool, guard: pool.take(guard.hand_off()).release(),
    "send": lambda pool, guard: pool.channel("c").send(guard),
    "try_send": lambda pool, guard: pool.channel("c").try_send(guard),
    "send_blocking": lambda pool, guard: pool.channel("c").send_blocking(guard),
    "close": lambda pool, guard: pool.close(),
}


@pytest.mark.parametrize("end", ends)
def test_what_outlives_its_guard_reads_as_zeros(name: str, end: str) -> None:
    with Pool.create(name, capacity=2, buffer_size=8192) as pool, Pool.open(name) as other:
        guard = pool.acquire(5000)
        handle = guard.handle
        guard.array()[:] = 7
        views = views_of(guard)
        watched = other.get(handle)
        ends[end](pool, guard)
        # The buffer goes on without them.
        assert watched.array().sum() == 5000 * 7
        for view in views:
            assert np.asarray(view).sum() == 0
        for view in views:
            if np.asarray(view).flags.writeable:
                np.asarray(view).fill(9)
        assert watched.array().sum() == 5000 * 7
        watched.release()


def test_the_next_guard_of_the_buffer_has_it_whatever_is_left_of_the_last(pool: Pool) -> None:
    left = []
    for turn in range(20):
        with pool.acquire(100) as guard:
            array = guard.array()
            array[:] = turn + 1
            left.append(array)
            with pool.get(guard.handle) as other:
                assert other.array().tolist() == [turn + 1] * 100
    assert sum(array.sum() for array in left) == 0


def test_the_window_of_a_buffer_is_used_again_where_no_array_is_left(pool: Pool) -> None:
    def address() -> int:
        with pool.acquire(100) as guard:
            return int(guard.array().ctypes.data)

    assert len({address() for _ in range(10)}) == 1


def test_the_window_of_a_buffer_moves_where_an_array_is_left(pool: Pool) -> None:
    with pool.acquire(100) as guard:
        array = guard.array()
        left = array.ctypes.data
    numbers = platform.release().split(".")
    can_move = platform.system() == "Linux" and (int(numbers[0]), int(numbers[1])) >= (5, 13)
    assert (0 in pool._windows._idle) == can_move
    with pool.acquire(100) as guard:
        assert guard.array().ctypes.data != left


def test_two_guards_of_one_buffer_end_each_for_itself(pool: Pool) -> None:
    first = pool.acquire(8)
    second = first.clone()
    one, two = first.array(), second.array()
    one[:] = 5
    assert two.sum() == 40
    first.release()
    assert (one.sum(), two.sum()) == (0, 40)
    two[0] = 6
    assert second.array()[0] == 6
    second.release()


def test_arrays_of_a_shared_pool_see_the_buffer_until_it_is_closed(name: str) -> None:
    with Pool.create(name, capacity=1, views="shared") as pool:
        with pool.acquire(8) as guard:
            array = guard.array()
            array[:] = 1
        with pool.acquire(8) as again:
            again.array()[:] = 2
            assert array.sum() == 16
    assert array.sum() == 0


def test_a_closed_pool_leaves_no_mapping_whatever_arrays_are_left(name: str) -> None:
    arrays = []
    for views in ("detach", "shared"):
        with Pool.open_or_create(name, capacity=4, buffer_size=4096, views=views) as pool:
            guards = [pool.acquire() for _ in range(4)]
            arrays += [guard.array() for guard in guards]
            for array in arrays[-4:]:
                array[:] = 3
            guards[0].release()
            assert mapped(name) > 0
        assert mapped(name) == 0
    assert sum(int(array.sum()) for array in arrays) == 0


def test_windows_are_unmapped_with_the_last_array(pool: Pool) -> None:
    with pool.acquire() as guard:
        array = guard.array()
    address = array.ctypes.data
    part = array[1:]
    del array
    assert is_mapped(address)
    del part
    assert not is_mapped(address)


def test_no_end_of_a_pool_makes_a_touch_of_an_array_fatal(name: str, programs: Programs) -> None:
    program = programs.python(
        """
        import gc, os, sys, numpy as np
        from xmem import Pool
        name = sys.argv[1]
        def touch(array):
            array[...] = 1
            for each in (array, array[::2], memoryview(array), np.from_dlpack(array)):
                np.asarray(each).sum()
            array[::2] = 2
        kept = []
        for views in ("detach", "shared"):
            pool = Pool.open_or_create(name, capacity=4, buffer_size=1 << 20, views=views)
            guards = [pool.acquire() for _ in range(4)]
            kept += [guard.array() for guard in guards] + [np.asarray(guards[0].buffer)]
            guards[0].release()
            pool.channel("c").send(guards[1])
            pool.close()
            for array in kept: touch(array)
            Pool.unlink(name)
            for array in kept: touch(array)
        if os.fork() == 0:
            for array in kept: touch(array)
            os._exit(0)
        assert os.wait()[1] == 0
        pool = Pool.create(name, capacity=1, buffer_size=1 << 20)
        guard = pool.acquire()
        array = guard.array()
        array[:] = 5
        if os.fork() == 0:
            touch(array)
            guard.release()
            touch(array)
            pool.close()
            touch(array)
            os._exit(0)
        assert os.wait()[1] == 0
        guard.release(); pool.close(); touch(array); Pool.unlink(name)
        print("alive")
        """,
        name,
    )
    assert program.end() == "alive\n"


def test_arrays_are_touched_by_one_thread_while_another_ends_their_guard(pool: Pool) -> None:
    stop = threading.Event()
    current: list[Any] = [np.zeros(64 * 1024, np.uint8)]

    def touch() -> None:
        while not stop.is_set():
            array = current[0]
            array[::4096] = 1
            array.sum()

    threads = [threading.Thread(target=touch) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            with pool.acquire() as guard:
                current[0] = guard.array()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert pool.stats().free == 4


def test_a_lost_guard_is_given_back_with_a_warning(pool: Pool) -> None:
    with pytest.warns(ResourceWarning, match="lost without release.*Guard of pool"):
        pool.acquire(8)
    assert pool.stats().free == 4


def test_an_array_keeps_what_a_lost_guard_held(pool: Pool) -> None:
    with pytest.warns(ResourceWarning):
        array = pool.acquire(8).array()
    array[:] = 3
    part = array[2:]
    del array
    assert pool.stats().free == 3
    assert part.sum() == 18
    del part
    assert pool.stats().free == 4


def test_what_an_array_keeps_ends_with_the_pool(name: str) -> None:
    with Pool.create(name, capacity=2) as pool, Pool.open(name) as other:
        with pytest.warns(ResourceWarning):
            array = pool.acquire(8).array()
        array[:] = 3
        pool.close()
        assert array.sum() == 0
        assert other.stats().free == 2
        del array
        assert other.stats().free == 2


def test_what_another_thread_loses_is_given_back_by_the_pools_own(pool: Pool) -> None:
    box = [pool.acquire(8), pool.acquire(8)]
    arrays = [box[1].array()]

    def lose() -> None:
        box.clear()
        arrays.clear()

    with pytest.warns(ResourceWarning):
        thread = threading.Thread(target=lose)
        thread.start()
        thread.join()
    pool.acquire(8).release()
    assert pool.stats().free == 4


def test_a_lost_pool_is_closed_with_a_warning(name: str) -> None:
    with pytest.warns(ResourceWarning, match="lost without close.*Pool"):
        Pool.create(name)
    assert Pool.inspect(name).alive == 0


def test_a_pool_that_another_thread_loses_is_closed_by_its_own(name: str) -> None:
    box = [Pool.create(name)]
    with pytest.warns(ResourceWarning):
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
    with Pool.open(name):
        pass
    assert Pool.inspect(name).alive == 0


def test_guards_and_windows_are_collected_without_cycles(pool: Pool) -> None:
    gc.collect()
    gc.disable()
    try:
        guard = pool.acquire(8)
        array = guard.array()
        seen = weakref.ref(array.base), weakref.ref(guard)
        guard.release()
        del guard, array
        assert [each() for each in seen] == [None, None]
    finally:
        gc.enable()


def test_a_guard_ends_on_its_own_thread_only(pool: Pool) -> None:
    guard = pool.acquire(8)
    array = guard.array()
    array[:] = 1
    codes: list[str] = []

    def other() -> None:
        codes.append(code_of(guard.release))
        codes.append(code_of(guard.hand_off))
        codes.append(code_of(lambda: pool.acquire(8)))
        codes.append(code_of(pool.close))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert codes == ["INVALID_ARGUMENT"] * 4
    assert array.sum() == 8
    guard.release()


def test_nothing_keeps_the_interpreter_from_ending(name: str, programs: Programs) -> None:
    source = """
        import asyncio, sys, threading
        from xmem import Pool
        name, how = sys.argv[1:]
        pool = Pool.create(name, capacity=1, ephemeral=True)
        guard = pool.acquire(8)
        array = guard.array()
        if how == "async":
            async def main():
                waiting = asyncio.ensure_future(pool.acquire_async(8))
                await asyncio.sleep(0.05)
            asyncio.run(main())
        if how == "thread":
            def work():
                mine = Pool.open(name)
                try: mine.acquire_blocking(8)
                except BaseException: pass
            threading.Thread(target=work, daemon=True).start()
        print("ends")
        """
    for how in ("plainly", "async", "thread"):
        assert programs.python(source, name, how).end() == "ends\n"
        xmem.Pool.unlink(name)


def test_a_program_that_ends_says_what_it_lost(name: str, programs: Programs) -> None:
    source = """
        import sys, warnings
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest: print(message)
        from xmem import Pool
        def main():
            pool = Pool.create(sys.argv[1], capacity=2)
            pool.acquire(8)
        main()
        """
    said = programs.python(source, name).end().splitlines()
    assert [line.split(":")[0] for line in said] == [
        "lost without release()",
        "lost without close()",
    ]


def test_memory_does_not_grow_with_arrays_that_are_left(name: str) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with Pool.create(name, capacity=2, buffer_size=1 << 20) as pool:

        def turns(count: int) -> None:
            for _ in range(count):
                with pool.acquire() as guard:
                    array = guard.array()
                    array[::4096] = 1
                array[::4096] = 2

        turns(50)
        before = resident()
        turns(300)
        assert resident() - before < 32 << 20
