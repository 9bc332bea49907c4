"""Requests that came through a channel, and the way back to those who ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from ._arguments import invalid
from ._guard import Guard
from ._native import failure, patient

if TYPE_CHECKING:
    from ._channel import Channel


class Request:
    """A request that was received: its buffer, and the way back to the asker. Use it with
    ``with``: where it ends without a reply, the asker's wait ends with an error.
    """

    __slots__ = ("_guard", "_on")

    _guard: Guard
    _on: str

    def __init__(self) -> None:
        raise TypeError("requests are made by a channel: channel.requests()")

    def __repr__(self) -> str:
        return f"<xmem.Request {self._guard!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a request cannot be pickled: answer it where it was received")

    def __enter__(self) -> Request:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()

    @property
    def guard(self) -> Guard:
        """The buffer that the asker sent. It ends with the request."""
        return self._guard

    def reply(self, guard: Guard) -> None:
        """Sends the reply to the asker, and nobody else: ``guard`` has ended, and so has the
        request's own. It may be the request's own guard. Where the asker is gone, the reply goes
        back to the pool.

        Raises RELEASED: one of them has ended before. INVALID_ARGUMENT: the sender of the request
        waits for no reply, or ``guard`` is no guard of this open of the pool. CHANNEL_FULL: the
        asker does not receive its replies. Both guards stay, as with every error. OUT_OF_MEMORY,
        POOL_BUSY, POOL_CORRUPT, POOL_CLOSED, SYSTEM.
        """
        if not isinstance(guard, Guard):
            invalid(f"reply() of {self._on}: {guard!r} is no guard")
        descriptor, request = self._guard._held()
        _, handle = guard._held()
        if guard._pool is not self._guard._pool:
            invalid(f"reply() of {self._on}: the guard is of {guard._pool!r}, another open of it")
        status = patient.xmem_reply(descriptor, request, handle)
        if status < 0:
            raise failure(status, "reply()", self._on)
        guard._finish("sent")
        if guard is not self._guard:
            # A clone is another hold of the same buffer, of which the call took only one.
            if handle == request:
                self._guard.release()
            else:
                self._guard._finish("answered")

    def refuse(self) -> None:
        """Ends the request without a reply; the asker is told. Of one that has ended it does
        nothing.
        """
        if self._guard._ended:
            return
        descriptor, request = self._guard._held()
        status = patient.xmem_refuse(descriptor, request)
        if status < 0:
            error = failure(status, "refuse()", self._on)
            if error.code not in ("POOL_CLOSED", "STALE_HANDLE"):
                raise error
        self._guard._finish("refused")


class Requests:
    """Iterates over the requests that come, with ``for`` or ``async for``, until the channel is
    closed and empty.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def _made(self, guard: Guard) -> Request:
        request = Request.__new__(Request)
        request._guard = guard
        request._on = self._channel._on
        return request

    def __iter__(self) -> Iterator[Request]:
        for guard in self._channel:
            yield self._made(guard)

    async def __aiter__(self) -> AsyncIterator[Request]:
        async for guard in self._channel:
            yield self._made(guard)


def requests_of(channel: Any) -> Requests:
    """Of a queue: a broadcast has no one receiver."""
    if channel._is_broadcast:
        invalid(f"requests() of {channel._on}: a broadcast has no one receiver")
    return Requests(channel)
