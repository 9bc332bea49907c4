"""Channels: buffers handed on, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ctypes import byref, c_uint32, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from . import _looking
from ._arguments import choice, deadline_ns, flag, integer, invalid, text
from ._errors import XmemError
from ._generated import (
    ENDS,
    LIMIT_CHANNEL_CAPACITY,
    LIMIT_CHANNEL_NAME_BYTES,
    MODES,
    OVERFLOWS,
    ChannelInfo,
    ChannelOptions,
)
from ._guard import Guard, adopted
from ._looking import ChannelStats
from ._native import code_of, failure, patient, quick
from ._request import Requests, requests_of
from ._waits import Place

if TYPE_CHECKING:
    from ._pool import Pool

_sending, _receiving, _closing = ENDS["sending"], ENDS["receiving"], ENDS["closing"]
_mode_names = {number: name for name, number in MODES.items()}


class Channel:
    """Hands buffers of a pool from one participant to others, in order. ``pool.channel()`` makes
    it.

    ``with`` only lets go of this object (``leave``): the channel goes on for the others.
    ``close()`` is for everybody.
    """

    def __init__(self) -> None:
        raise TypeError("channels are made by a pool: pool.channel(name)")

    _pool: Pool
    _name: str
    _number: int
    _is_broadcast: bool
    _subscribes: bool
    _places: dict[int, Place]

    def __repr__(self) -> str:
        state = "" if self._number else ", left"
        return f"<xmem.Channel {self._name!r} of pool {self._pool.name!r}{state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a channel cannot be pickled: open it by its name where it is to be used")

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    @property
    def name(self) -> str:
        return self._name

    @property
    def pool(self) -> Pool:
        return self._pool

    @property
    def _on(self) -> str:
        return f"channel {self._name!r} of pool {self._pool.name!r}"

    def _check(self, status: int, tried: str) -> None:
        if status < 0:
            raise failure(status, tried, self._on)

    # Sending.

    def _handle_of(self, guard: Any, tried: str) -> int:
        if not isinstance(guard, Guard):
            invalid(f"{tried} of {self._on}: {guard!r} is no guard")
        _, handle = guard._held()
        if guard._pool is not self._pool:
            invalid(
                f"{tried} of {self._on}: the guard is of {guard._pool!r}, another open of a pool"
            )
        return handle

    def send(self, guard: Guard) -> bool:
        """Moves the guard's hold into the channel; the guard has ended. Never waits for room.

        Returns False where the buffer was dropped, as the channel's overflow says, and given back.

        Raises CHANNEL_FULL: there is no room, and the overflow is "block"; the guard stays, as
        with every error. CHANNEL_CLOSED: somebody closed it, or this object was left. RELEASED:
        the guard has ended. INVALID_ARGUMENT: it is no guard of this open of the pool.
        BUFFER_IN_USE: the channel redelivers, and the buffer is in such a channel already.
        POOL_BUSY, POOL_CLOSED.
        """
        handle = self._handle_of(guard, "send()")
        dropped = c_uint32()
        status = quick.xmem_send(self._pool._descriptor, self._number, handle, byref(dropped))
        self._check(status, "send()")
        guard._finish("sent")
        return dropped.value == 0

    def try_send(self, guard: Guard) -> bool:
        """The same, but it drops nothing: False where there is no room, and the guard stays."""
        handle = self._handle_of(guard, "try_send()")
        status = quick.xmem_try_send(self._pool._descriptor, self._number, handle)
        if status < 0:
            if code_of(status) == "CHANNEL_FULL":
                return False
            self._check(status, "try_send()")
        guard._finish("sent")
        return True

    def send_blocking(self, guard: Guard, *, timeout_ms: int | None = None) -> None:
        """The same, but it blocks this thread until there is room, whatever the overflow.

        Raises TIMEOUT; the guard stays. Others as ``send``, without CHANNEL_FULL.
        """
        handle = self._handle_of(guard, "send_blocking()")
        if self.try_send(guard):
            return
        deadline = deadline_ns(timeout_ms)
        sent = c_uint32()
        try:
            while not sent.value:
                descriptor = self._pool._descriptor
                status = patient.xmem_send_slice(
                    descriptor, self._number, handle, deadline, byref(sent)
                )
                self._check(status, "send_blocking()")
        except BaseException:
            # Of a signal handler, say.
            if not sent.value:
                quick.xmem_wait_end(self._pool._descriptor, self._number, _sending)
            raise
        finally:
            if sent.value:
                guard._finish("sent")

    async def send_async(self, guard: Guard, *, timeout_ms: int | None = None) -> None:
        """The same in an event loop. Where its task is cancelled the guard stays."""
        self._handle_of(guard, "send_async()")

        def attempt(waited_ns: int) -> bool | None:
            handle = self._handle_of(guard, "send_async()")
            sent = c_uint32()
            status = quick.xmem_send_next(
                self._pool._descriptor, self._number, handle, int(waited_ns == 0), byref(sent)
            )
            self._check(status, "send_async()")
            if not sent.value:
                return None
            guard._finish("sent")
            return True

        await self._place(_sending).wait("send_async()", attempt, timeout_ms)

    # Receiving.

    def _received(self, handle: c_uint64) -> Guard:
        return adopted(self._pool, handle, not self._is_broadcast)

    def try_receive(self) -> Guard | None:
        """The buffer that comes next, at once; None where nothing is there.

        Raises CHANNEL_CLOSED: it was closed, and nothing is left in it; or this object was left.
        INVALID_ARGUMENT: it was opened to send only. POOL_BUSY, POOL_CLOSED.
        """
        return self._receive_at_once("try_receive()")

    def _receive_at_once(self, tried: str) -> Guard | None:
        handle = c_uint64()
        status = quick.xmem_receive(self._pool._descriptor, self._number, byref(handle))
        self._check(status, tried)
        return self._received(handle) if handle.value else None

    def receive_blocking(self, *, timeout_ms: int | None = None) -> Guard:
        """The same, but it blocks this thread until something comes. Raises TIMEOUT."""
        found = self._receive_at_once("receive_blocking()")
        if found is not None:
            return found
        deadline = deadline_ns(timeout_ms)
        handle = c_uint64()
        descriptor = self._pool._descriptor
        try:
            while not handle.value:
                status = patient.xmem_receive_slice(
                    descriptor, self._number, deadline, byref(handle)
                )
                self._check(status, "receive_blocking()")
            return self._received(handle)
        except BaseException:
            # Of a signal handler, say. What it received already goes back to the pool.
            if handle.value:
                quick.xmem_release(descriptor, handle.value)
            else:
                quick.xmem_wait_end(descriptor, self._number, _receiving)
            raise

    async def receive(self, *, timeout_ms: int | None = None) -> Guard:
        """The same in an event loop. Where its task is cancelled nothing is received."""

        def attempt(waited_ns: int) -> Guard | None:
            handle = c_uint64()
            status = quick.xmem_receive_next(
                self._pool._descriptor, self._number, int(waited_ns == 0), byref(handle)
            )
            self._check(status, "receive()")
            return self._received(handle) if handle.value else None

        return await self._place(_receiving).wait("receive()", attempt, timeout_ms)

    def __iter__(self) -> Iterator[Guard]:
        """Each buffer that comes, until the channel is closed and empty. It blocks this thread."""
        while True:
            try:
                guard = self.receive_blocking()
            except XmemError as error:
                if error.code == "CHANNEL_CLOSED" and self._number:
                    return
                raise
            yield guard

    async def __aiter__(self) -> AsyncIterator[Guard]:
        while True:
            try:
                guard = await self.receive()
            except XmemError as error:
                if error.code == "CHANNEL_CLOSED" and self._number:
                    return
                raise
            yield guard

    def requests(self) -> Requests:
        """Iterates over the requests that come, with ``for`` or ``async for``: each is to be
        answered by ``reply``, or ends its asker's wait without a reply. Use each with ``with``.

        Raises INVALID_ARGUMENT: the channel is a broadcast.
        """
        return requests_of(self)

    async def wait_closed(self) -> None:
        """Until somebody closes the channel."""

        def attempt(_: int) -> bool | None:
            descriptor = self._pool._descriptor
            numbers = _looking.channel_numbers(descriptor, self._number, self._on)
            return True if numbers.closed else None

        await self._place(_closing).wait("wait_closed()", attempt, None)

    def _place(self, end: int) -> Place:
        place = self._places.get(end)
        if place is None:
            self._pool._check_open("waiting")
            if self._number == 0:
                raise XmemError("CHANNEL_CLOSED", f"{self._on} was left here")
            place = self._places[end] = Place(self._pool, self._number, end)
        return place

    # The channel itself.

    def stats(self) -> ChannelStats:
        """What goes on in it. Raises CHANNEL_CLOSED where this object was left."""
        return _looking.channel_stats(self._pool._descriptor, self._number, self._on)

    def close(self) -> None:
        """For everybody: nothing is sent from now on. What is in it is still received; after that
        receivers get CHANNEL_CLOSED, and iterations end. Again it does nothing."""
        self._check(patient.xmem_channel_close(self._pool._descriptor, self._number), "close()")

    def leave(self) -> None:
        """Lets go of this object, and ends its subscription. Again it does nothing."""
        if self._number == 0:
            return
        self._pool._check_thread("leave()")
        self._end_waits("CHANNEL_CLOSED", "the channel was left here")
        patient.xmem_channel_leave(self._pool._descriptor, self._number)
        self._number = 0

    def _end_waits(self, code: str, why: str) -> None:
        places = list(self._places.values())
        self._places.clear()
        for place in places:
            place.close(XmemError(code, f"{self._on}: {why}"))


def opened(
    pool: Pool,
    name: str,
    options: dict[str, Any],
) -> Channel:
    native = ChannelOptions()
    native.size = len(bytes(native))
    for option, value in options.items():
        if value is None:
            continue
        _setters[option](native, value)
    encoded = text(name, "name", LIMIT_CHANNEL_NAME_BYTES)
    if not encoded:
        invalid("a channel's name is empty")
    number = c_uint32()
    on = f"channel {name!r} of {pool._on}"
    status = patient.xmem_channel_open(pool._descriptor, encoded, byref(native), byref(number))
    _looking.checked(status, "channel()", on)
    info = ChannelInfo()
    info.size = len(bytes(info))
    status = quick.xmem_get_channel_info(pool._descriptor, number.value, byref(info))
    _looking.checked(status, "channel()", on)
    channel = Channel.__new__(Channel)
    channel._pool = pool
    channel._name = name
    channel._number = number.value
    channel._is_broadcast = _mode_names[info.mode] == "broadcast"
    channel._subscribes = not native.sends_only
    channel._places = {}
    return channel


def _set(field: str, convert: Callable[[Any], Any]) -> Callable[[ChannelOptions, Any], None]:
    def setter(native: ChannelOptions, value: Any) -> None:
        setattr(native, field, convert(value))

    return setter


_setters: dict[str, Callable[[ChannelOptions, Any], None]] = {
    "capacity": _set(
        "capacity", lambda value: integer(value, "capacity", 1, LIMIT_CHANNEL_CAPACITY)
    ),
    "mode": _set("mode", lambda value: choice(value, "mode", MODES)),
    "overflow": _set("overflow", lambda value: choice(value, "overflow", OVERFLOWS)),
    "history": _set("history", lambda value: integer(value, "history", 0, LIMIT_CHANNEL_CAPACITY)),
    "subscribe": _set("sends_only", lambda value: 1 - flag(value, "subscribe")),
    "redeliver": _set("redeliver", lambda value: flag(value, "redeliver")),
    "max_deliveries": _set("max_deliveries", lambda value: integer(value, "max_deliveries", 1)),
    "dead_letter": _set(
        "dead_letter", lambda value: text(value, "dead_letter", LIMIT_CHANNEL_NAME_BYTES)
    ),
}
