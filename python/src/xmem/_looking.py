"""Pools, participants and channels in numbers."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_uint32
from dataclasses import dataclass, fields
from typing import Any, Callable, TypeVar

from . import _generated as generated
from ._generated import MODES, OVERFLOWS
from ._native import failure, patient

_mode_names = {number: name for name, number in MODES.items()}
_overflow_names = {number: name for name, number in OVERFLOWS.items()}
_T = TypeVar("_T")


@dataclass(frozen=True)
class PoolInfo:
    """A pool of the folder of pools. Of a broken one only name, path, size and problem are
    known."""

    name: str
    path: str
    #: Bytes of the object: address space, not memory.
    size: int
    capacity: int
    buffer_size: int
    #: Bytes of memory that buffers have, without the control area.
    committed_bytes: int
    #: Participants that are alive.
    participants: int
    #: Milliseconds since 1970.
    created_at_ms: int
    #: What is wrong with it, a code and a sentence; None for a healthy one.
    problem: str | None = None


@dataclass(frozen=True)
class Participant:
    """A thread that has the pool open, or had when it died."""

    row: int
    pid: int
    tid: int
    name: str
    alive: bool
    holds: int
    waiting: bool
    started: int
    acquired: int
    released: int
    waits: int
    timeouts: int


@dataclass(frozen=True)
class Subscriber:
    """An open that subscribes to a broadcast."""

    pid: int
    tid: int
    alive: bool
    #: Buffers in the channel that it has still to receive.
    lag: int
    received: int
    #: Buffers that were dropped before it received them.
    missed: int


@dataclass(frozen=True)
class ChannelStats:
    """What goes on in a channel."""

    name: str
    mode: str
    overflow: str
    capacity: int
    history: int
    redeliver: bool
    max_deliveries: int
    closed: bool
    open_by: int
    queued: int
    sent: int
    received: int
    dropped: int
    redelivered: int
    waiting_senders: int
    waiting_receivers: int
    subscriptions: list[Subscriber]


@dataclass(frozen=True)
class PoolStats:
    """What goes on in a pool. Each number is true of some moment, not all of the same."""

    capacity: int
    free: int
    used: int
    parked: int
    in_flight: int
    waiters: int
    committed_bytes: int
    flushing: bool
    linked: bool
    oldest_lease_ms: int
    longest_hold_ms: int
    alive: int
    acquired: int
    released: int
    full: int
    waits: int
    timeouts: int
    recoveries: int
    deferred: int
    out_of_memory: int
    recovered_participants: int
    recovered_references: int
    recovered_buffers: int
    expired_references: int
    bytes_committed: int
    bytes_given_back: int
    participants: list[Participant]
    channels: list[ChannelStats]


@dataclass(frozen=True)
class ReclaimReport:
    """What a recovery gave back."""

    participants: int
    references: int
    buffers: int
    deferred: bool


def checked(status: int, tried: str, on: str) -> None:
    if status < 0:
        raise failure(status, tried, on)


def _filled(kind: type[_T], call: Callable[..., int], tried: str, on: str, *first: int) -> _T:
    """A struct that the library fills."""
    struct: Any = kind()
    struct.size = ctypes.sizeof(struct)
    checked(call(*first, byref(struct)), tried, on)
    return struct  # type: ignore[no-any-return]


def _rows(
    kind: Any, call: Callable[..., int], room: int, tried: str, on: str, *first: int
) -> list[Any]:
    """Structs that the library fills, however many there are by then."""
    count = c_uint32()
    while True:
        rows = (kind * room)()
        status = call(*first, byref(rows), ctypes.sizeof(kind), room, byref(count))
        checked(status, tried, on)
        if count.value < room:
            return list(rows[: count.value])
        room *= 2


def _as(kind: type[_T], struct: Any, **others: Any) -> _T:
    """The dataclass's fields out of the struct's."""
    values = dict(others)
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in values:
            continue
        value = getattr(struct, field.name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif field.type == "bool":
            value = bool(value)
        values[field.name] = value
    return kind(**values)


def info_of(descriptor: int, on: str) -> generated.PoolInfo:
    return _filled(generated.PoolInfo, patient.xmem_info, "info", on, descriptor)


def stats_of(descriptor: int, on: str) -> PoolStats:
    struct = _filled(generated.PoolStats, patient.xmem_stats, "stats()", on, descriptor)
    rows = _rows(generated.Participant, patient.xmem_participants, 64, "stats()", on, descriptor)
    participants = [_as(Participant, row) for row in rows]
    return _as(PoolStats, struct, participants=participants, channels=channels_of(descriptor, on))


def channels_of(descriptor: int, on: str) -> list[ChannelStats]:
    rows = _rows(generated.ChannelStats, patient.xmem_channels, 16, "stats()", on, descriptor)
    return [_channel(descriptor, row, on) for row in rows]


def channel_stats(descriptor: int, channel: int, on: str) -> ChannelStats:
    struct = channel_numbers(descriptor, channel, on)
    return _channel(descriptor, struct, on)


def channel_numbers(descriptor: int, channel: int, on: str) -> generated.ChannelStats:
    call = patient.xmem_get_channel_stats
    return _filled(generated.ChannelStats, call, "stats()", on, descriptor, channel)


def _channel(descriptor: int, struct: generated.ChannelStats, on: str) -> ChannelStats:
    subscriptions: list[Subscriber] = []
    if struct.subscribers > 0:
        call = patient.xmem_subscribers
        rows = _rows(generated.Subscriber, call, 257, "stats()", on, descriptor, struct.number)
        subscriptions = [_as(Subscriber, row) for row in rows]
    return _as(
        ChannelStats,
        struct,
        mode=_mode_names.get(struct.mode, "unknown"),
        overflow=_overflow_names.get(struct.overflow, "unknown"),
        subscriptions=subscriptions,
    )


def reclaimed(descriptor: int, on: str) -> ReclaimReport:
    kind = generated.ReclaimReport
    struct = _filled(kind, patient.xmem_reclaim, "reclaim()", on, descriptor)
    return _as(ReclaimReport, struct)


def folder() -> str:
    """Where pools are: /dev/shm, or what XMEM_DIR names."""
    return os.path.abspath(os.environ.get("XMEM_DIR") or "/dev/shm")


def path_of(name: str) -> str:
    return os.path.join(folder(), f"xmem.{name}")


def names() -> list[str]:
    """Of all pools in the folder, of the broken ones too."""
    rows = _rows(generated.PoolName, patient.xmem_list, 64, "Pool.list()", folder())
    return sorted(row.name.decode("utf-8", "surrogateescape") for row in rows)
