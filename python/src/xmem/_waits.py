"""Waiting in an asyncio event loop. A native thread sleeps at the place on the loop's behalf, and
makes a socket readable when a try is worth it; each try runs in the task that waits. So a task
that is cancelled has taken nothing, and nothing here keeps a program from ending.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from ctypes import byref, c_int32, c_uint32
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ._arguments import deadline_ns
from ._errors import XmemError
from ._native import FOREVER, failure, quick

if TYPE_CHECKING:
    from ._pool import Pool

_T = TypeVar("_T")

#: While a recovery has the pool, nothing is told: tries are made anew after this time,
_busy_retry_s = 0.005
#: and given up after this one, as the calls that block do.
_busy_patience_ns = 2_000_000_000


class _Waiter:
    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        future = self.future
        if future is not None and not future.done() and not future.get_loop().is_closed():
            future.set_result(None)


class Place:
    """A place at which tasks of one open of a pool wait, served in the order in which they
    asked."""

    def __init__(self, pool: Pool, channel: int, end: int) -> None:
        self._pool = pool
        self._channel = channel
        self._end = end
        self._waiting: deque[_Waiter] = deque()
        self._socket = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed = False
        self._ended: XmemError | None = None

    async def wait(
        self, tried: str, attempt: Callable[[int], _T | None], timeout_ms: int | None
    ) -> _T:
        """What an attempt brings. It gets the nanoseconds for which the task has waited."""
        deadline = deadline_ns(timeout_ms)
        if not self._waiting:
            result = attempt(0)
            if result is not None:
                return result
        loop = asyncio.get_running_loop()
        self._watch(loop, tried)
        begun: int = quick.xmem_now_ns()
        waiter = _Waiter()
        self._waiting.append(waiter)
        busy_since = 0
        try:
            while True:
                now: int = quick.xmem_now_ns()
                is_next = self._waiting[0] is waiter
                armed = True
                if is_next:
                    armed = self._arm(tried)
                    result = attempt(now - begun)
                    if result is not None:
                        return result
                if now >= deadline:
                    raise self._timeout(tried, timeout_ms)
                busy_since = 0 if armed else busy_since or now
                if not armed and now - busy_since > _busy_patience_ns and deadline == FOREVER:
                    raise XmemError(
                        "POOL_BUSY", f"{tried}: a participant is stopped while it mends the pool"
                    )
                await self._sleep(loop, waiter, deadline - now, deadline != FOREVER, armed)
                if self._ended is not None:
                    raise self._ended
        finally:
            self._waiting.remove(waiter)
            if self._waiting:
                self._waiting[0].wake()
            else:
                self._rest()

    async def _sleep(
        self,
        loop: asyncio.AbstractEventLoop,
        waiter: _Waiter,
        left_ns: int,
        ends: bool,
        armed: bool,
    ) -> None:
        waiter.future = loop.create_future()
        timers = []
        if ends:
            timers.append(loop.call_later(left_ns / 1e9 + 0.0005, waiter.wake))
        if not armed:
            timers.append(loop.call_later(_busy_retry_s, waiter.wake))
        try:
            await waiter.future
        finally:
            waiter.future = None
            for timer in timers:
                timer.cancel()

    def _timeout(self, tried: str, timeout_ms: int | None) -> XmemError:
        found = "nothing came" if self._channel else "no buffer came free"
        return XmemError("TIMEOUT", f"{tried} of {self._pool._on}: {found} in {timeout_ms} ms")

    def _watch(self, loop: asyncio.AbstractEventLoop, tried: str) -> None:
        if self._socket < 0:
            socket = c_int32()
            self._check(self._call(quick.xmem_loop_open, byref(socket)), tried)
            self._socket = socket.value
            os.set_blocking(self._socket, False)
        if self._loop is loop:
            return
        self._unwatch()
        loop.add_reader(self._socket, self._told)
        self._loop = loop

    def _unwatch(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        self._loop = None

    def _told(self) -> None:
        """A try is worth it."""
        try:
            while len(os.read(self._socket, 64)) == 64:
                pass
        except BlockingIOError:
            pass
        if self._waiting:
            self._waiting[0].wake()
        else:
            self._rest()

    def _call(self, call: Any, *more: Any) -> int:
        status: int = call(self._pool._descriptor, self._channel, self._end, *more)
        return status

    def _check(self, status: int, tried: str) -> None:
        if status < 0:
            raise failure(status, tried, self._pool._on)

    def _arm(self, tried: str) -> bool:
        armed = c_uint32()
        self._check(self._call(quick.xmem_loop_arm, byref(armed)), tried)
        self._armed = True
        return armed.value != 0

    def _rest(self) -> None:
        """Nobody waits: a wake that was this loop's goes to the next participant."""
        if not self._armed:
            return
        self._armed = False
        self._call(quick.xmem_loop_rest)

    def close(self, reason: XmemError) -> None:
        """All who wait are told so."""
        self._ended = reason
        self._rest()
        for waiter in self._waiting:
            waiter.wake()
        if self._socket >= 0:
            self._unwatch()
            os.close(self._socket)
            self._socket = -1
