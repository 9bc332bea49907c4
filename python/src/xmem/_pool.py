"""Pools: making and opening them, and getting buffers."""

from __future__ import annotations

import collections
import ctypes
import os
import threading
import warnings
import weakref
from collections.abc import Iterable, Sequence
from ctypes import byref, c_uint32, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from . import _arrays, _channel, _looking
from ._arguments import (
    UINT32_MAX,
    choice,
    deadline_ns,
    flag,
    integer,
    invalid,
    name,
    reference,
    text,
)
from ._channel import Channel
from ._errors import XmemError
from ._generated import (
    DTYPES,
    LIMIT_CAPACITY,
    LIMIT_CHANNELS,
    LIMIT_LOCAL_CACHE,
    LIMIT_MODE,
    LIMIT_PARTICIPANTS,
    LIMIT_REFERENCES,
    LIMIT_TEXT_BYTES,
    LIMIT_WAIT_SOURCES,
    Options,
    Source,
)
from ._guard import Guard, adopted, made, source_of
from ._looking import PoolInfo, PoolStats, ReclaimReport
from ._meta import dimensions, dtype_number
from ._native import code_of, failure, patient, quick
from ._waits import Place
from ._windows import Mapping, Window, Windows, detach_anyway

if TYPE_CHECKING:
    from typing import Literal

    Views = Literal["detach", "shared"]
    # In the class, `list` is one of its methods.
    Names = list[str]
    PoolInfos = list[PoolInfo]

_acquire_quickly = quick.xmem_acquire
_acquire_patiently = patient.xmem_acquire

#: A buffer of more bytes may take long to get, where it has no memory yet: other threads run then.
_quick_bytes_max = 1 << 20


class _Owed(threading.local):
    """What this thread has to give back, since another thread's collector found it lost."""

    def __init__(self) -> None:
        self.pools: collections.deque[int] = collections.deque()


_owed = _Owed()


class Pool:
    """A pool of buffers in shared memory, as this thread has it open. Use it with ``with``.

    A pool is used on the thread that opened it: each thread opens it for itself. After a fork it is
    POOL_CLOSED in the child, which opens it again.

    Every method raises an XmemError with the code POOL_CLOSED after ``close``, INVALID_ARGUMENT on
    another thread and for a value that is out of range, and POOL_CORRUPT where the control area
    holds what xmem never wrote.
    """

    def __init__(self) -> None:
        raise TypeError("Pool.create(), Pool.open() and Pool.open_or_create() make pools")

    _name: str
    _descriptor: int
    _pid: int
    _thread: int
    _capacity: int
    _buffer_size: int
    _detaches: bool
    _windows: Windows
    _place: Place | None
    _channels: weakref.WeakSet[Channel]
    _lost: collections.deque[tuple[int, Window | None]]
    _of_arrays: weakref.WeakSet[Mapping]
    _owed_to: collections.deque[int]

    # Making and opening.

    @staticmethod
    def create(
        name: str,
        *,
        capacity: int | None = None,
        buffer_size: int | None = None,
        max_participants: int | None = None,
        lease_timeout_ms: int | None = None,
        max_committed: int | None = None,
        channels: int | None = None,
        zero_on_release: bool | None = None,
        mode: int | None = None,
        ephemeral: bool | None = None,
        participant_name: str | None = None,
        allow_owner: int | None = None,
        allow_group: int | None = None,
        local_cache: int | None = None,
        views: Views = "detach",
    ) -> Pool:
        """Makes a pool and opens it.

        :param name: 1 to 200 letters, digits, ".", "_" or "-".
        :param capacity: Buffers; default 1024.
        :param buffer_size: The most bytes that one buffer can have; default 1 MiB, virtual until
            used.
        :param max_participants: Threads that may have the pool open at once; default 64.
        :param lease_timeout_ms: Life of an in-flight reference; default 30000; 0: it never expires.
        :param max_committed: Bytes of data that may be committed at once.
        :param channels: How many channels it can have; default 16.
        :param zero_on_release: A buffer's bytes are zeroed when it is recycled.
        :param mode: Permission bits; default 0o600.
        :param ephemeral: The last participant that leaves removes the name.
        :param participant_name: What ``stats()`` shows for this thread, at most 31 bytes.
        :param allow_owner: A user whose pools are trusted, besides this one and root.
        :param allow_group: A group whose pools are trusted; one that is made belongs to it.
        :param local_cache: How many of the buffers that this thread released it keeps for its own
            next acquires, 0 to 512; default 0. They are free all the same: others get them as soon
            as the pool has no other buffer. Use it where several threads or processes acquire and
            release all the time, and the pool has buffers to spare.
        :param views: What becomes of arrays that outlive their guard. "detach": they read as zeros.
            "shared": they see the buffer, whoever has it then, until the pool is closed.

        Raises POOL_EXISTS, OUT_OF_MEMORY, PERMISSION_DENIED, TOO_MANY_PARTICIPANTS, SYSTEM.
        """
        return _opened(
            "create()",
            patient.xmem_create,
            name,
            views,
            capacity=capacity,
            buffer_size=buffer_size,
            max_participants=max_participants,
            lease_timeout_ms=lease_timeout_ms,
            max_committed=max_committed,
            channels=channels,
            zero_on_release=zero_on_release,
            mode=mode,
            ephemeral=ephemeral,
            participant_name=participant_name,
            allow_owner=allow_owner,
            allow_group=allow_group,
            local_cache=local_cache,
        )

    @staticmethod
    def open(
        name: str,
        *,
        participant_name: str | None = None,
        allow_owner: int | None = None,
        allow_group: int | None = None,
        local_cache: int | None = None,
        views: Views = "detach",
    ) -> Pool:
        """Opens a pool. A thread that opens it twice is one participant, with one cache, of the
        largest ``local_cache`` that it asked for.

        Raises POOL_NOT_FOUND, VERSION_MISMATCH, PERMISSION_DENIED, TOO_MANY_PARTICIPANTS,
        POOL_BUSY, OUT_OF_MEMORY, SYSTEM.
        """
        return _opened(
            "open()",
            patient.xmem_open,
            name,
            views,
            participant_name=participant_name,
            allow_owner=allow_owner,
            allow_group=allow_group,
            local_cache=local_cache,
        )

    @staticmethod
    def open_or_create(
        name: str,
        *,
        capacity: int | None = None,
        buffer_size: int | None = None,
        max_participants: int | None = None,
        lease_timeout_ms: int | None = None,
        max_committed: int | None = None,
        channels: int | None = None,
        zero_on_release: bool | None = None,
        mode: int | None = None,
        ephemeral: bool | None = None,
        replace_abandoned: bool | None = None,
        participant_name: str | None = None,
        allow_owner: int | None = None,
        allow_group: int | None = None,
        local_cache: int | None = None,
        views: Views = "detach",
    ) -> Pool:
        """Opens the pool of that name, or makes it. However many do so at once get the same one.

        :param replace_abandoned: A pool that has no live participant is replaced.

        Raises OPTIONS_MISMATCH: it is smaller than was asked for. Others as ``create`` and
        ``open``.
        """
        return _opened(
            "open_or_create()",
            patient.xmem_open_or_create,
            name,
            views,
            capacity=capacity,
            buffer_size=buffer_size,
            max_participants=max_participants,
            lease_timeout_ms=lease_timeout_ms,
            max_committed=max_committed,
            channels=channels,
            zero_on_release=zero_on_release,
            mode=mode,
            ephemeral=ephemeral,
            replace_abandoned=replace_abandoned,
            participant_name=participant_name,
            allow_owner=allow_owner,
            allow_group=allow_group,
            local_cache=local_cache,
        )

    @staticmethod
    def unlink(name: str) -> bool:
        """Removes a name; those who have the pool open go on. False where there is none.

        Raises PERMISSION_DENIED, POOL_BUSY, SYSTEM.
        """
        status = patient.xmem_unlink(_pool_name(name))
        if status < 0 and code_of(status) == "POOL_NOT_FOUND":
            return False
        _looking.checked(status, "unlink()", f"pool {name!r}")
        return True

    @staticmethod
    def list(*, allow_owner: int | None = None, allow_group: int | None = None) -> PoolInfos:
        """Every pool that this user can see, the broken ones too."""
        infos = (_info(each, allow_owner, allow_group) for each in _looking.names())
        return [info for info in infos if info is not None]

    @staticmethod
    def inspect(
        name: str, *, allow_owner: int | None = None, allow_group: int | None = None
    ) -> PoolStats:
        """Looks at a pool without taking part: it takes no row and starts no recovery.

        Raises POOL_NOT_FOUND, VERSION_MISMATCH, PERMISSION_DENIED, OUT_OF_MEMORY, SYSTEM.
        """
        descriptor = _observed(name, allow_owner, allow_group)
        try:
            return _looking.stats_of(descriptor, f"pool {name!r}")
        finally:
            patient.xmem_close(descriptor)

    @staticmethod
    def prune(*, dry_run: bool = False) -> Names:
        """Removes the names of this user's pools that no live participant has; returns them."""
        look_only = flag(dry_run, "dry_run")
        pruned = []
        for each in _looking.names():
            gone = c_uint32()
            status = patient.xmem_prune(os.fsencode(each), look_only, byref(gone))
            if status >= 0 and gone.value:
                pruned.append(each)
            elif status < 0 and code_of(status) not in _left_alone:
                raise failure(status, "prune()", f"pool {each!r}")
        return pruned

    # What it is.

    def __repr__(self) -> str:
        state = f"{self._capacity} buffers of {self._buffer_size}" if self._descriptor else "closed"
        return f"<xmem.Pool {self._name!r}: {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pool cannot be pickled: open it by its name where it is to be used")

    @property
    def name(self) -> str:
        return self._name

    @property
    def capacity(self) -> int:
        """How many buffers the pool has."""
        return self._capacity

    @property
    def buffer_size(self) -> int:
        """The most bytes that one buffer can have."""
        return self._buffer_size

    @property
    def closed(self) -> bool:
        """Whether it is closed here."""
        return self._descriptor == 0

    @property
    def _on(self) -> str:
        return f"pool {self._name!r}"

    def _check(self, status: int, tried: str) -> None:
        if status < 0:
            raise failure(status, tried, self._on)

    def _check_open(self, tried: str) -> None:
        if self._descriptor == 0:
            raise XmemError("POOL_CLOSED", f"{tried} of {self._on}: it was closed")

    def _check_thread(self, tried: str) -> None:
        if self._thread == threading.get_ident() or self._descriptor == 0:
            return
        # A fork leaves one thread, with an identity of its own.
        if self._pid == os.getpid():
            invalid(f"{tried} of {self._on}: another thread opened it; each opens it for itself")

    def _is_open_here(self) -> bool:
        return self._descriptor != 0 and self._pid == os.getpid()

    # Ending.

    def __enter__(self) -> Pool:
        self._check_open("with")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives back all holds, detaches all arrays, leaves all channels. Again it does nothing.

        Tasks that wait get POOL_CLOSED. Raises INVALID_ARGUMENT on another thread.
        """
        descriptor = self._descriptor
        if descriptor == 0:
            return
        self._check_thread("close()")
        if self._place is not None:
            self._place.close(XmemError("POOL_CLOSED", f"{self._on} was closed"))
        for channel in list(self._channels):
            channel._end_waits("POOL_CLOSED", "the pool was closed")
        # Before the holds go back, so that no array sees what the next holders do.
        self._windows.close()
        for mapping in list(self._of_arrays):
            detach_anyway(mapping)
        self._lost.clear()
        self._descriptor = 0
        patient.xmem_close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", 0) == 0 or self._pid != os.getpid():
            return
        warnings.warn(f"lost without close(): {self!r}", ResourceWarning, source=self)
        if self._thread == threading.get_ident():
            self.close()
            return
        # Only its own thread can close it: at its next open of a pool, or at its end.
        self._windows.close()
        self._owed_to.append(self._descriptor)
        self._descriptor = 0

    def remove_name(self) -> bool:
        """Removes the pool's name, if it still leads to this pool. Those who have it open go on."""
        status = patient.xmem_unlink_pool(self._descriptor)
        if status < 0 and code_of(status) == "POOL_NOT_FOUND":
            return False
        self._check(status, "remove_name()")
        return True

    # What was lost.

    def _give_back_lost(self, handle: int, window: Window | None) -> None:
        """The collector found a guard on whatever thread."""
        if not self._is_open_here():
            return
        self._lost.append((handle, window))
        if self._thread == threading.get_ident():
            self._collect()

    def _leave_to_arrays(self, handle: int, window: Window) -> None:
        """A guard is gone, and arrays over its buffer are left: they have the hold."""
        mapping = window.mapping
        self._windows.forget(window)
        self._of_arrays.add(mapping)
        pool = weakref.ref(self)

        def give_back() -> None:
            found = pool()
            if found is not None:
                found._give_back_lost(handle, None)

        mapping.when_gone = give_back

    def _collect(self) -> None:
        while self._lost:
            try:
                handle, window = self._lost.popleft()
            except IndexError:
                return
            if window is not None:
                self._windows.give_back(window, self._detaches)
            quick.xmem_release(self._descriptor, handle)

    # Getting buffers.

    def acquire(self, size: int | None = None) -> Guard:
        """A hold of a free buffer, at once.

        :param size: Bytes; default ``buffer_size``.

        Raises POOL_FULL: every buffer is in use. TOO_LARGE: no buffer is that large. OUT_OF_MEMORY.
        POOL_FLUSHING. POOL_BUSY.
        """
        number = self._size_of(size)
        handle = c_uint64()
        call = _acquire_quickly if number <= _quick_bytes_max else _acquire_patiently
        status = call(self._descriptor, number, byref(handle))
        if status < 0:
            raise failure(status, f"acquire({number})", self._on)
        return made(self, handle.value, number, True)

    def try_acquire(self, size: int | None = None) -> Guard | None:
        """The same, but None where every buffer is in use."""
        number = self._size_of(size)
        handle = c_uint64()
        status = _acquire_quickly(self._descriptor, number, byref(handle))
        if status < 0:
            if code_of(status) == "POOL_FULL":
                return None
            raise failure(status, f"try_acquire({number})", self._on)
        return made(self, handle.value, number, True)

    def _size_of(self, size: Any) -> int:
        if self._lost:
            self._check_thread("acquire")
            self._collect()
        if size is None:
            return self._buffer_size
        if type(size) is int and 0 <= size <= UINT32_MAX:
            return size
        return integer(size, "size")

    def acquire_blocking(self, size: int | None = None, *, timeout_ms: int | None = None) -> Guard:
        """The same, but it blocks this thread until there is a buffer. 0 milliseconds: tries once.

        Raises TIMEOUT. TOO_LARGE, OUT_OF_MEMORY, POOL_FLUSHING. What a signal handler raises.
        """
        number = self._size_of(size)
        deadline = deadline_ns(timeout_ms)
        handle = c_uint64()
        descriptor = self._descriptor
        try:
            while not handle.value:
                status = patient.xmem_acquire_slice(descriptor, number, deadline, byref(handle))
                self._check(status, f"acquire_blocking({number})")
            return made(self, handle.value, number, True)
        except BaseException:
            # Of a signal handler, say.
            if handle.value:
                quick.xmem_release(descriptor, handle.value)
            else:
                quick.xmem_wait_end(descriptor, 0, 0)
            raise

    async def acquire_async(
        self, size: int | None = None, *, timeout_ms: int | None = None
    ) -> Guard:
        """The same in an event loop. Tasks are served in the order in which they asked; one that is
        cancelled has taken nothing."""
        number = self._size_of(size)
        tried = f"acquire_async({number})"

        def attempt(waited_ns: int) -> Guard | None:
            handle = c_uint64()
            status = quick.xmem_acquire_next(self._descriptor, number, waited_ns, byref(handle))
            self._check(status, tried)
            return made(self, handle.value, number, True) if handle.value else None

        if self._place is None:
            self._check_open(tried)
            self._place = Place(self, 0, 0)
        return await self._place.wait(tried, attempt, timeout_ms)

    def acquire_array(self, shape: int | Sequence[int], dtype: Any = "uint8") -> Guard:
        """A hold of a free buffer for an array: ``guard.array()`` has this shape and dtype.

        Raises as ``acquire``.
        """
        dims = dimensions([shape] if hasattr(shape, "__index__") else shape, "shape", 0)
        number = dtype_number(dtype)
        size = _arrays.numpy().dtype(DTYPES[number]).itemsize
        for each in dims:
            size *= each
        if size > UINT32_MAX:
            raise XmemError("TOO_LARGE", f"acquire_array() of {self._on}: {size} bytes")
        guard = self.acquire(size)
        try:
            guard.meta.dtype = DTYPES[number]
            guard.meta.shape = dims
        except BaseException:
            guard.release()
            raise
        return guard

    def acquire_copy(self, data: Any) -> Guard:
        """A hold of a free buffer with a copy of an array, or of bytes: one copy, described as the
        array is. Raises as ``acquire``. INVALID_ARGUMENT: the dtype is none of xmem's.
        """
        source = source_of(data)
        dtype_number(source.dtype)
        guard = self.acquire(source.nbytes)
        try:
            guard.copy_from(source)
        except BaseException:
            guard.release()
            raise
        return guard

    def preallocate(self, size: int, count: int) -> int:
        """Commits memory for the next buffers that acquires get; returns the bytes committed anew.

        Raises TOO_LARGE, OUT_OF_MEMORY, POOL_BUSY, SYSTEM.
        """
        committed = c_uint64()
        status = patient.xmem_preallocate(
            self._descriptor, integer(size, "size"), integer(count, "count"), byref(committed)
        )
        self._check(status, "preallocate()")
        return committed.value

    # Buffers of others.

    def _hold(self, call: Any, tried: str, ref: int, writable: bool) -> Guard:
        if self._lost:
            self._check_thread(tried)
            self._collect()
        handle = c_uint64()
        status = call(self._descriptor, reference(ref), byref(handle))
        if status < 0:
            raise failure(status, f"{tried[:-1]}{ref})", self._on)
        return adopted(self, handle, writable)

    def get(self, ref: int) -> Guard:
        """A new hold of a buffer in use, which only reads. ``ref``: a handle or a bare index.

        Raises STALE_HANDLE, BUFFER_NOT_FOUND, NO_REFERENCE, TOO_MANY_REFERENCES, POOL_BUSY.
        """
        return self._hold(quick.xmem_get, "get()", ref, False)

    def get_mut(self, ref: int) -> Guard:
        """The same, writable."""
        return self._hold(quick.xmem_get, "get_mut()", ref, True)

    def take(self, ref: int) -> Guard:
        """Adopts an in-flight reference, that of ``share`` or ``hand_off``; writable.

        Raises STALE_HANDLE, NO_REFERENCE, BUFFER_NOT_FOUND, POOL_BUSY.
        """
        return self._hold(quick.xmem_take, "take()", ref, True)

    def _count(self, call: Any, tried: str, ref: int) -> int:
        count = c_uint32()
        status = call(self._descriptor, reference(ref), byref(count))
        if status < 0:
            raise failure(status, f"{tried[:-1]}{ref})", self._on)
        return count.value

    def add_ref(self, ref: int) -> int:
        """Counts a buffer up by hand: one more in-flight reference. Returns the whole count.

        Raises STALE_HANDLE, BUFFER_NOT_FOUND, TOO_MANY_REFERENCES, POOL_BUSY.
        """
        return self._count(quick.xmem_add_ref, "add_ref()", ref)

    def unref(self, ref: int) -> int:
        """Counts a buffer down by hand; recycles it at 0. Raises NO_REFERENCE: none is in
        flight."""
        return self._count(quick.xmem_unref, "unref()", ref)

    def release(self, ref: int) -> int:
        """Counts down and never recycles. You almost certainly want ``unref``, or
        ``guard.release``."""
        return self._count(quick.xmem_release_by_hand, "release()", ref)

    def ref_count(self, ref: int) -> int:
        """A buffer's whole count, holds and in-flight references."""
        return self._count(quick.xmem_ref_count, "ref_count()", ref)

    def set_ref_count(self, ref: int, count: int) -> int:
        """Sets the whole count. Raises INVALID_ARGUMENT: it is below the number of holds."""
        number = integer(count, "count", 0, LIMIT_REFERENCES)
        status = quick.xmem_set_ref_count(self._descriptor, reference(ref), number)
        self._check(status, "set_ref_count()")
        return number

    def try_release(self, ref: int) -> bool:
        """Recycles a buffer that was counted to 0 by hand. True for exactly one of those who
        try."""
        return self._count(quick.xmem_try_release, "try_release()", ref) == 1

    def release_buffer(self, ref: int) -> None:
        """The same, for those to whom it is an error. Raises BUFFER_IN_USE: somebody counts it."""
        self._check(quick.xmem_release_buffer(self._descriptor, reference(ref)), "release_buffer()")

    # Upkeep.

    def reclaim(self) -> ReclaimReport:
        """Gives back what dead participants and expired leases left. Raises POOL_BUSY."""
        return _looking.reclaimed(self._descriptor, self._on)

    def trim(self) -> int:
        """Gives the memory of free buffers back to the system; returns the bytes."""
        freed = c_uint64()
        self._check(patient.xmem_trim(self._descriptor, byref(freed)), "trim()")
        return freed.value

    def flush(self) -> None:
        """Ends every wait of every process with POOL_FLUSHING, until ``unflush``."""
        self._check(patient.xmem_flush(self._descriptor), "flush()")

    def unflush(self) -> None:
        """Ends every flush of the pool."""
        self._check(patient.xmem_unflush(self._descriptor), "unflush()")

    def stats(self) -> PoolStats:
        """What goes on in the pool. It looks at every buffer: not a call for each frame."""
        return _looking.stats_of(self._descriptor, self._on)

    def channel(
        self,
        name: str,
        *,
        capacity: int | None = None,
        mode: Literal["queue", "broadcast"] | None = None,
        overflow: Literal["block", "drop-newest", "drop-oldest"] | None = None,
        subscribe: bool | None = None,
        history: int | None = None,
        redeliver: bool | None = None,
        max_deliveries: int | None = None,
        dead_letter: str | None = None,
    ) -> Channel:
        """Opens the channel of that name, or makes it.

        :param capacity: How many buffers can be queued; default 16.
        :param mode: "queue", the default: each buffer goes to one receiver. "broadcast": to every
            subscriber.
        :param overflow: What ``send`` does where it is full: "block" refuses, the default.
        :param subscribe: False: this object only sends.
        :param history: Of a broadcast: so many of the newest stay for subscribers that come late.
        :param redeliver: Of a queue: what a receiver held when it died comes back.
        :param max_deliveries: How often a buffer is received at most; default 5.
        :param dead_letter: The channel to which a buffer goes that was received so often.

        Raises OPTIONS_MISMATCH: the channel that exists is otherwise. OUT_OF_MEMORY: the pool has
        no room for another. TOO_MANY_PARTICIPANTS: the broadcast has 256 subscribers. POOL_BUSY.
        """
        options = {
            "capacity": capacity,
            "mode": mode,
            "overflow": overflow,
            "history": history,
            "subscribe": subscribe,
            "redeliver": redeliver,
            "max_deliveries": max_deliveries,
            "dead_letter": dead_letter,
        }
        channel = _channel.opened(self, name, options)
        self._channels.add(channel)
        return channel


_left_alone = {
    "POOL_NOT_FOUND",
    "POOL_CORRUPT",
    "POOL_BUSY",
    "VERSION_MISMATCH",
    "PERMISSION_DENIED",
    "INVALID_ARGUMENT",
}
"""Failures that a prune passes over: the pool is broken, another user's, or in use by now."""

_lease_never = 2**32 - 1

_ranges: dict[str, tuple[str, int, int]] = {
    "capacity": ("capacity", 1, LIMIT_CAPACITY),
    "buffer_size": ("buffer_size", 1, UINT32_MAX),
    "max_participants": ("max_participants", 1, LIMIT_PARTICIPANTS),
    "max_committed": ("max_committed_bytes", 1, 2**53),
    "channels": ("channels", 1, LIMIT_CHANNELS),
    "mode": ("mode", 1, LIMIT_MODE),
    "allow_owner": ("allow_owner", 1, UINT32_MAX - 1),
    "allow_group": ("allow_group", 1, UINT32_MAX - 1),
    "local_cache": ("local_cache", 0, LIMIT_LOCAL_CACHE),
}


def _native_options(given: dict[str, Any]) -> Options:
    options = Options()
    options.size = ctypes.sizeof(Options)
    for option, value in given.items():
        if value is None:
            continue
        if option in _ranges:
            field, least, most = _ranges[option]
            setattr(options, field, integer(value, option, least, most))
        elif option == "lease_timeout_ms":
            options.lease_timeout_ms = integer(value, option, 0, _lease_never - 1) or _lease_never
        elif option == "participant_name":
            options.participant_name = text(value, option, LIMIT_TEXT_BYTES)
        else:
            setattr(options, option, flag(value, option))
    return options


_pool_name = name


def _opened(tried: str, call: Any, name: Any, views: Any, **given: Any) -> Pool:
    while _owed.pools:
        patient.xmem_close(_owed.pools.popleft())
    detaches = choice(views, "views", {"detach": True, "shared": False})
    options = _native_options(given)
    descriptor = c_uint32()
    encoded = _pool_name(name)
    status = call(encoded, byref(options), byref(descriptor))
    if status < 0:
        raise failure(status, f"Pool.{tried}", f"pool {name!r} in {_looking.folder()}")
    pool = Pool.__new__(Pool)
    pool._name = name
    pool._descriptor = descriptor.value
    pool._pid = os.getpid()
    pool._thread = threading.get_ident()
    pool._detaches = detaches
    pool._windows = Windows(descriptor.value)
    pool._place = None
    pool._channels = weakref.WeakSet()
    pool._lost = collections.deque()
    pool._of_arrays = weakref.WeakSet()
    pool._owed_to = _owed.pools
    info = _looking.info_of(descriptor.value, pool._on)
    pool._capacity = info.capacity
    pool._buffer_size = info.buffer_size
    return pool


def _observed(name: Any, allow_owner: Any, allow_group: Any) -> int:
    options = _native_options({"allow_owner": allow_owner, "allow_group": allow_group})
    descriptor = c_uint32()
    status = patient.xmem_observe(_pool_name(name), byref(options), byref(descriptor))
    _looking.checked(status, "looking", f"pool {name!r} in {_looking.folder()}")
    return descriptor.value


def _info(name: str, allow_owner: Any, allow_group: Any) -> PoolInfo | None:
    path = _looking.path_of(name)
    try:
        descriptor = _observed(name, allow_owner, allow_group)
    except XmemError as error:
        try:
            status = os.lstat(path)
        except OSError:
            # It vanished between the two looks.
            return None
        made_at = int(status.st_mtime * 1000)
        return PoolInfo(name, path, status.st_size, 0, 0, 0, 0, made_at, str(error))
    try:
        info = _looking.info_of(descriptor, f"pool {name!r}")
        stats = _looking.stats_of(descriptor, f"pool {name!r}")
        return PoolInfo(
            name,
            path,
            info.total_bytes,
            info.capacity,
            info.buffer_size,
            stats.committed_bytes,
            stats.alive,
            info.created_at_ms,
        )
    finally:
        patient.xmem_close(descriptor)


def wait_any(sources: Iterable[Channel | Pool], *, timeout_ms: int | None = None) -> int:
    """Blocks this thread until one of several channels and pools has something, and takes nothing:
    ``try_receive`` or ``try_acquire`` is worth a try then. Returns the place of the first such.

    Raises TIMEOUT. INVALID_ARGUMENT: there are none or more than 128, or one only sends.
    CHANNEL_CLOSED: one was left. POOL_CLOSED.
    """
    given = list(sources)
    if not 1 <= len(given) <= LIMIT_WAIT_SOURCES:
        invalid(f"wait_any() of {len(given)} places; from 1 to {LIMIT_WAIT_SOURCES} are possible")
    native = (Source * len(given))()
    for each, source in zip(given, native):
        if isinstance(each, Channel):
            if each._number == 0:
                raise XmemError("CHANNEL_CLOSED", f"wait_any() of {each!r}")
            source.pool, source.channel = each._pool._descriptor, each._number
        elif isinstance(each, Pool):
            source.pool, source.channel = each._descriptor, 0
        else:
            invalid(f"wait_any() of {each!r}, neither a channel nor a pool")
    deadline = deadline_ns(timeout_ms)
    place = c_uint32(len(given))
    while place.value == len(given):
        status = patient.xmem_wait_any_slice(byref(native), len(given), deadline, byref(place))
        _looking.checked(status, "wait_any()", ", ".join(map(repr, given)))
    return place.value
