"""Getting buffers, what they contain, and giving them back."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import code_of

from xmem import Guard, Pool, XmemError
from xmem._generated import DTYPES


def test_a_pool_is_made_opened_listed_inspected_and_unlinked(name: str) -> None:
    with Pool.create(name, capacity=3, buffer_size=100, participant_name="tests") as pool:
        assert (pool.name, pool.capacity, pool.buffer_size) == (name, 3, 100)
        assert code_of(lambda: Pool.create(name)) == "POOL_EXISTS"
        with Pool.open(name) as other, other.acquire(10):
            assert pool.stats().used == 1
        (info,) = [each for each in Pool.list() if each.name == name]
        assert (info.capacity, info.participants, info.problem) == (3, 1, None)
        assert info.path == f"{os.environ.get('XMEM_DIR', '/dev/shm')}/xmem.{name}"
        stats = Pool.inspect(name)
        assert [(each.pid, each.name) for each in stats.participants] == [(os.getpid(), "tests")]
        assert name not in Pool.prune()
    assert Pool.prune(dry_run=True).count(name) == 1
    assert name in Pool.prune()
    assert not Pool.unlink(name)
    assert code_of(lambda: Pool.open(name)) == "POOL_NOT_FOUND"


def test_what_is_no_pool_is_listed_with_its_problem(name: str) -> None:
    with Pool.create(name) as pool:
        assert pool.remove_name()
        assert not pool.remove_name()
    path = f"{os.environ.get('XMEM_DIR', '/dev/shm')}/xmem.{name}"
    with open(path, "w"):
        pass
    (info,) = [each for each in Pool.list() if each.name == name]
    assert info.problem is not None and info.problem.startswith("POOL_CORRUPT: ")
    assert code_of(lambda: Pool.open(name)) == "POOL_CORRUPT"
    assert Pool.unlink(name)


def test_open_or_create_makes_it_or_checks_what_was_asked(name: str) -> None:
    with Pool.open_or_create(name, capacity=2), Pool.open_or_create(name, capacity=1) as pool:
        assert pool.capacity == 2
        mismatch = code_of(lambda: Pool.open_or_create(name, capacity=3))
        assert mismatch == "OPTIONS_MISMATCH"


def test_an_ephemeral_pool_is_gone_with_its_last_participant(name: str) -> None:
    with Pool.create(name, ephemeral=True):
        assert any(each.name == name for each in Pool.list())
    assert not any(each.name == name for each in Pool.list())


def test_buffers_are_acquired_until_the_pool_is_full(pool: Pool) -> None:
    guards = [pool.acquire(8) for _ in range(4)]
    assert sorted(guard.index for guard in guards) == [0, 1, 2, 3]
    assert code_of(lambda: pool.acquire(8)) == "POOL_FULL"
    assert pool.try_acquire(8) is None
    assert code_of(lambda: pool.acquire_blocking(8, timeout_ms=20)) == "TIMEOUT"
    guards[1].release()
    guards[1].release()
    with pool.acquire_blocking(8, timeout_ms=0) as again:
        assert again.index == guards[1].index
        assert again.handle != guards[1].handle
    for guard in guards:
        guard.release()
    assert pool.stats().free == 4


def test_a_cache_keeps_what_this_thread_released_and_others_get_it_when_they_need_it(
    name: str,
) -> None:
    with Pool.create(name, capacity=3, buffer_size=64, local_cache=2) as pool:
        first, second, third = pool.acquire(8), pool.acquire(8), pool.acquire(8)
        kept = second.handle % 2**24
        for guard in (first, second, third):
            guard.release()
        # The list has the one for which the cache had no room, and would give that.
        with pool.acquire(8) as again:
            assert again.handle % 2**24 == kept
        assert pool.stats().used == 0
        peer = (
            "import sys; from xmem import Pool\n"
            "with Pool.open(sys.argv[1]) as pool:\n"
            "    assert len([pool.acquire(8) for _ in range(3)]) == 3\n"
        )
        subprocess.run([sys.executable, "-c", peer, name], check=True)


def test_the_size_is_what_was_asked_for(pool: Pool) -> None:
    with pool.acquire() as whole, pool.acquire(0) as empty:
        assert whole.size == whole.buffer.nbytes == 64 * 1024
        assert empty.size == 0
        assert empty.array().shape == (0,)
    assert code_of(lambda: pool.acquire(64 * 1024 + 1)) == "TOO_LARGE"


@pytest.mark.parametrize(
    "dtype",
    DTYPES,
)
def test_an_array_is_what_the_description_says(pool: Pool, dtype: str) -> None:
    with pool.acquire_array((3, 4), dtype) as guard:
        array = guard.array()
        assert (array.dtype, array.shape) == (np.dtype(dtype), (3, 4))
        assert guard.meta.dtype == dtype
        array[:] = np.arange(12).reshape(3, 4)
        assert guard.array()[2, 3] == 11
        # No copy: both are the same memory.
        assert np.shares_memory(array, guard.array())
        with pool.get(guard.handle) as reader:
            np.testing.assert_array_equal(reader.array(), np.arange(12).reshape(3, 4))


def test_strides_are_followed_in_every_direction(pool: Pool) -> None:
    with pool.acquire(24) as guard:
        guard.array()[:] = np.arange(24)
        guard.meta.dtype = "uint16"
        guard.meta.shape = (2, 3)
        guard.meta.strides = (12, 4)
        expected = np.lib.stride_tricks.as_strided(
            np.arange(24, dtype=np.uint8).view(np.uint16), (2, 3), (12, 4)
        )
        np.testing.assert_array_equal(guard.array(), expected)
        guard.meta.strides = (0, 2)
        assert guard.array().strides == (0, 2)


@pytest.mark.parametrize(
    ("dtype", "shape", "strides"),
    [
        ("uint8", (25,), None),
        ("float64", (4,), None),
        ("uint8", (2**40, 2**40), None),
        ("uint8", (2, 2), (24, 1)),
        ("uint8", (3,), (-1,)),
        ("uint8", (2, 2), (1,)),
        ("uint8", (2**53,), (2**53,)),
    ],
)
def test_a_description_beyond_the_buffer_is_an_error(
    pool: Pool, dtype: str, shape: tuple[int, ...], strides: tuple[int, ...] | None
) -> None:
    with pool.acquire(24) as guard:
        guard.meta.dtype = dtype
        guard.meta.shape = shape
        if strides is not None:
            guard.meta.strides = strides
        assert code_of(guard.array) == "INVALID_ARGUMENT"
        assert guard.buffer.nbytes == 24


def test_a_dtype_and_a_shape_can_be_asked_for(pool: Pool) -> None:
    with pool.acquire(24) as guard:
        assert guard.array("float64").shape == (3,)
        assert guard.array(np.int16, (3, 4)).shape == (3, 4)
        assert guard.array(np.dtype("uint8"), [2]).shape == (2,)
        assert guard.meta.dtype == "uint8"
        for wrong in [("float64", (4,)), ("bool", None), ("uint8", 3), (None, (3,))]:
            assert code_of(lambda wrong=wrong: guard.array(*wrong)) == "INVALID_ARGUMENT"
        guard.truncate(23)
        assert code_of(lambda: guard.array("uint16")) == "INVALID_ARGUMENT"


def test_numpy_and_others_take_a_guard_itself(pool: Pool) -> None:
    with pool.acquire_array((2, 3), "int32") as guard:
        guard.array()[:] = 5
        for array in (np.asarray(guard), np.from_dlpack(guard)):
            assert array.shape == (2, 3)
            assert np.shares_memory(array, guard.array())
        assert np.array(guard, copy=True).sum() == 30
        assert guard.__dlpack_device__() == (1, 0)
        if sys.version_info >= (3, 12):
            view = memoryview(guard)
            assert (view.shape, view.format) == ((2, 3), "i")
        assert bytes(guard.buffer[:4]) == (5).to_bytes(4, sys.byteorder)
        guard.buffer[0] = 6
        assert guard.array()[0, 0] == 6


def test_a_guard_that_only_reads_gives_what_only_reads(pool: Pool) -> None:
    with pool.acquire(8) as writer, pool.get(writer.handle) as reader:
        assert not reader.writable
        array = reader.array()
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(TypeError):
            reader.buffer[0] = 1
        assert code_of(lambda: setattr(reader.meta, "sequence", 1)) == "READ_ONLY"
        assert code_of(lambda: reader.truncate(1)) == "READ_ONLY"
        assert code_of(lambda: reader.copy_from(b"x")) == "READ_ONLY"
        with pool.get_mut(reader.handle) as other:
            other.array()[0] = 9
        assert array[0] == 9


@pytest.mark.parametrize(
    "data",
    [
        np.arange(12.0).reshape(3, 4),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(24, dtype="int16")[::-2],
        np.arange(5, dtype=">i4"),
        np.float32(3.5),
        np.zeros((0, 3), "uint8"),
    ],
)
def test_an_array_is_copied_into_a_buffer(pool: Pool, data: np.ndarray) -> None:
    with pool.acquire_copy(data) as guard:
        copied = guard.array()
        assert guard.size == data.nbytes
        assert copied.dtype == data.dtype.newbyteorder("=")
        np.testing.assert_array_equal(copied, data)


def test_bytes_are_copied_into_a_buffer(pool: Pool) -> None:
    with pool.acquire_copy(b"text") as guard:
        assert (bytes(guard.buffer), guard.meta.shape) == (b"text", (4,))
    with pool.acquire(10) as guard:
        guard.copy_from(bytearray(b"abc"))
        assert (guard.meta.shape, bytes(guard.buffer[:3])) == ((3,), b"abc")
        assert code_of(lambda: guard.copy_from(bytes(11))) == "INVALID_ARGUMENT"
    for wrong in ("text", 3, None, [1, 2], np.zeros(3, bool), np.zeros(3, complex)):
        assert code_of(lambda wrong=wrong: pool.acquire_copy(wrong)) == "INVALID_ARGUMENT"
    assert pool.stats().free == 4


def test_the_description_is_shared_and_reset(pool: Pool) -> None:
    with pool.acquire(8) as guard, pool.get(guard.handle) as other:
        meta = guard.meta
        meta.dtype, meta.shape, meta.strides = "int16", (2, 2), (4, 2)
        meta.timestamp, meta.sequence = 2**53, 7
        meta.content_type, meta.producer = "image/ü", "camera"
        seen = other.meta
        assert (seen.dtype, seen.shape, seen.strides) == ("int16", (2, 2), (4, 2))
        assert (seen.timestamp, seen.sequence) == (2**53, 7)
        assert (seen.content_type, seen.producer) == ("image/ü", "camera")
        assert "sequence=7" in repr(seen)
    assert code_of(lambda: meta.dtype) == "RELEASED"
    assert code_of(lambda: setattr(meta, "dtype", "int8")) == "RELEASED"
    assert "RELEASED" in repr(meta)
    with pool.acquire(8) as again:
        assert (again.meta.dtype, again.meta.shape, again.meta.sequence) == ("uint8", (8,), 0)


def test_references_are_shared_taken_and_handed_off(pool: Pool) -> None:
    guard = pool.acquire(8)
    assert guard.share() == guard.handle
    with pool.take(guard.handle) as taken:
        assert pool.ref_count(guard.handle) == 2
        assert taken.writable
    assert code_of(lambda: pool.take(guard.handle)) == "NO_REFERENCE"
    with guard.clone() as cloned:
        assert cloned.handle == guard.handle
    handle = guard.hand_off()
    assert code_of(lambda: guard.meta.dtype) == "RELEASED"
    guard.release()
    with pool.take(handle) as taken:
        index = taken.forget()
    with pool.take(index):
        pass
    assert code_of(lambda: pool.get(handle)) == "STALE_HANDLE"
    assert code_of(lambda: pool.get(index)) == "BUFFER_NOT_FOUND"
    assert code_of(lambda: pool.get(4)) == "BUFFER_NOT_FOUND"


def test_references_are_counted_by_hand(pool: Pool) -> None:
    guard = pool.acquire(8)
    handle = guard.handle
    assert pool.add_ref(handle) == 2
    assert pool.set_ref_count(handle, 3) == 3
    assert pool.unref(handle) == 2
    guard.release()
    assert pool.release(handle) == 0
    assert code_of(lambda: pool.unref(handle)) == "NO_REFERENCE"
    assert pool.stats().parked == 1
    assert pool.try_release(handle)
    assert code_of(lambda: pool.release_buffer(handle)) == "STALE_HANDLE"
    assert not pool.try_release(guard.index)


def test_a_buffer_becomes_smaller_for_all(pool: Pool) -> None:
    with pool.acquire(8) as guard:
        guard.truncate(3)
        assert (guard.size, guard.meta.shape, guard.array().size) == (3, (3,), 3)
        with pool.get(guard.handle) as other:
            assert other.size == 3
        assert code_of(lambda: guard.truncate(4)) == "INVALID_ARGUMENT"


def test_memory_is_committed_and_given_back(pool: Pool) -> None:
    assert pool.preallocate(4096, 2) == 8192
    assert pool.preallocate(4096, 2) == 0
    assert pool.stats().committed_bytes == 8192
    assert pool.trim() == 8192
    pool.flush()
    assert code_of(lambda: pool.acquire(8)) == "POOL_FLUSHING"
    pool.unflush()
    report = pool.reclaim()
    assert (report.participants, report.deferred) == (0, False)


def test_a_closed_pool_says_so(pool: Pool) -> None:
    guard = pool.acquire(8)
    channel = pool.channel("c")
    pool.close()
    pool.close()
    assert pool.closed
    calls = [
        *(pool.acquire, pool.try_acquire, pool.acquire_blocking, pool.stats, pool.trim),
        *(pool.reclaim, pool.remove_name, pool.flush, lambda: pool.channel("d")),
        *(lambda: pool.get(0), lambda: pool.add_ref(0), lambda: pool.acquire_array(3)),
        *(channel.try_receive, channel.receive_blocking, channel.close, channel.stats),
        *(guard.array, lambda: guard.buffer, guard.share, lambda: guard.meta.dtype, guard.clone),
        *(lambda: channel.send(guard), lambda: channel.send_blocking(guard, timeout_ms=0)),
    ]
    for call in calls:
        assert code_of(call) in ("POOL_CLOSED", "RELEASED"), call
    channel.leave()
    guard.release()


def test_nothing_of_it_is_made_or_sent_where_it_cannot_be(pool: Pool) -> None:
    with pool.acquire(8) as guard, pool.channel("c") as channel:
        for each in (pool, guard, channel):
            with pytest.raises(TypeError):
                pickle.dumps(each)
            with pytest.raises(TypeError):
                type(each)()
        with pytest.raises(AttributeError):
            guard.size = 3  # type: ignore[misc]
        for each in (pool, guard, channel):
            assert pool.name in repr(each)
        assert isinstance(guard, Guard)


def test_an_error_has_a_code_and_can_be_sent(name: str) -> None:
    with pytest.raises(XmemError) as caught:
        Pool.open(name)
    error = caught.value
    assert error.code == "POOL_NOT_FOUND"
    assert name in str(error) and "/" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == (error.code, str(error))
