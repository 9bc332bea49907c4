"""Bad input: an error with a code, and nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import code_of

from xmem import Pool, wait_any

not_numbers: list[Any] = [1.0, 1.5, "1", None, True, -1, 2**64, float("nan"), [], b"1", -(2**70)]


@pytest.mark.parametrize("value", not_numbers)
def test_a_number_that_is_none_is_refused_everywhere(pool: Pool, value: Any) -> None:
    with pool.acquire(8) as guard, pool.channel("c") as channel:
        calls = [
            lambda: pool.preallocate(value, 1),
            lambda: pool.preallocate(1, value),
            *(lambda each=each: each(value) for each in (pool.get, pool.get_mut, pool.take)),
            *(lambda each=each: each(value) for each in (pool.add_ref, pool.unref, pool.release)),
            *(lambda each=each: each(value) for each in (pool.ref_count, pool.try_release)),
            lambda: pool.release_buffer(value),
            lambda: pool.set_ref_count(value, 1),
            lambda: pool.set_ref_count(guard.handle, value),
            lambda: guard.truncate(value),
            lambda: setattr(guard.meta, "sequence", value),
            lambda: setattr(guard.meta, "timestamp", value),
            lambda: setattr(guard.meta, "shape", [value]),
            lambda: setattr(guard.meta, "dtype", value),
            lambda: guard.array("uint8", [value]),
            lambda: pool.acquire_array([value]),
        ]
        if value is not None:
            calls += [
                *(lambda each=each: each(value) for each in (pool.acquire, pool.try_acquire)),
                lambda: pool.acquire_blocking(value),
                lambda: pool.acquire_blocking(8, timeout_ms=value),
                lambda: channel.receive_blocking(timeout_ms=value),
                lambda: wait_any([pool], timeout_ms=value),
                lambda: pool.channel("d", capacity=value),
                lambda: pool.channel("d", max_deliveries=value),
                lambda: Pool.create("never", capacity=value),
                lambda: Pool.create("never", buffer_size=value),
                lambda: Pool.create("never", max_participants=value),
                lambda: Pool.create("never", lease_timeout_ms=value),
                lambda: Pool.create("never", max_committed=value),
                lambda: Pool.create("never", channels=value),
                lambda: Pool.create("never", mode=value),
                lambda: Pool.open("never", allow_owner=value),
                lambda: Pool.inspect("never", allow_group=value),
            ]
        for call in calls:
            assert code_of(call) == "INVALID_ARGUMENT", call
        assert (guard.size, guard.meta.sequence, guard.meta.shape) == (8, 0, (8,))
        assert pool.stats().used == 1
        assert pool.ref_count(guard.handle) == 1


def test_numbers_of_numpy_are_numbers(pool: Pool) -> None:
    with pool.acquire(np.int64(8)) as guard:
        guard.meta.sequence = np.uint8(3)
        guard.meta.shape = np.array([2, 4])  # type: ignore[assignment]
        assert (guard.size, guard.meta.sequence, guard.meta.shape) == (8, 3, (2, 4))


@pytest.mark.parametrize("value", [1, None, b"x", "x" * 32, "ü" * 16, "a\0b", "\ud800", ["x"]])
def test_a_text_that_does_not_fit_is_refused(pool: Pool, value: Any) -> None:
    with pool.acquire(8) as guard:
        guard.meta.producer = "before"
        assert code_of(lambda: setattr(guard.meta, "producer", value)) == "INVALID_ARGUMENT"
        assert code_of(lambda: setattr(guard.meta, "content_type", value)) == "INVALID_ARGUMENT"
        assert (guard.meta.producer, guard.meta.content_type) == ("before", "")


@pytest.mark.parametrize("value", [3, "33", None, [1] * 9, [-1], [2**53 + 1], [1.5], {"a": 1}])
def test_a_shape_that_does_not_fit_is_refused(pool: Pool, value: Any) -> None:
    with pool.acquire(8) as guard:
        assert code_of(lambda: setattr(guard.meta, "shape", value)) == "INVALID_ARGUMENT"
        assert guard.meta.shape == (8,)


@pytest.mark.parametrize(
    "value", [1, None, b"x", "", ".", "..", "a/b", "a b", "ü", "x" * 201, "\0"]
)
def test_a_name_that_no_pool_can_have_is_refused(value: Any) -> None:
    for call in (Pool.create, Pool.open, Pool.open_or_create, Pool.unlink, Pool.inspect):
        assert code_of(lambda call=call: call(value)) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("value", [1, None, "", b"x", "x" * 64, "a\0b"])
def test_a_name_that_no_channel_can_have_is_refused(pool: Pool, value: Any) -> None:
    assert code_of(lambda: pool.channel(value)) == "INVALID_ARGUMENT"


def test_an_option_of_another_kind_is_refused(pool: Pool) -> None:
    wrong: list[dict[str, Any]] = [
        {"mode": "both"},
        {"mode": 1},
        {"overflow": "drop_oldest"},
        {"subscribe": 1},
        {"redeliver": "yes"},
        {"capacity": 0},
        {"capacity": 65_537},
        {"redeliver": True, "mode": "broadcast"},
        {"history": 1},
        {"mode": "broadcast", "capacity": 2, "history": 2},
        {"dead_letter": 3},
    ]
    for options in wrong:
        assert code_of(lambda options=options: pool.channel("c", **options)) == "INVALID_ARGUMENT"
    pools: list[dict[str, Any]] = [
        *({"zero_on_release": 1}, {"ephemeral": 0}, {"views": "live"}),
        *({"mode": 0o1777}, {"participant_name": "x" * 32}, {"capacity": 0}),
        *({"local_cache": 513}, {"local_cache": -1}, {"local_cache": True}),
    ]
    for options in pools:
        assert code_of(lambda options=options: Pool.create("never", **options)) == (
            "INVALID_ARGUMENT"
        )
    with pytest.raises(TypeError):
        Pool.create("never", capasity=3)  # type: ignore[call-arg]


def test_what_is_no_guard_of_this_open_is_not_sent(pool: Pool, name: str) -> None:
    with pool.channel("c") as channel, Pool.open(name) as other, other.acquire(8) as guard:
        for wrong in (guard, None, 3, pool, guard.handle):
            assert code_of(lambda wrong=wrong: channel.send(wrong)) == "INVALID_ARGUMENT"
            assert code_of(lambda wrong=wrong: channel.try_send(wrong)) == "INVALID_ARGUMENT"
        assert guard.size == 8
        guard.array()


def test_places_to_wait_are_checked(pool: Pool) -> None:
    sender = pool.channel("c", subscribe=False)
    for wrong in ([], [pool] * 129, [3], [None], [sender]):
        assert code_of(lambda wrong=wrong: wait_any(wrong, timeout_ms=0)) == "INVALID_ARGUMENT"
