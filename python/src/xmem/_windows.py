"""Windows: where this process maps a buffer for arrays and memoryviews.

Arrays outlive guards as they like, and nothing can be taken away from them but what their
addresses lead to. So each buffer is mapped a second time, at an address of its own, and that
window is detached where an array is left when its guard ends: the addresses lead to zeros of this
process from then on. Where no array is left, which is known by counting references, the window
serves the buffer's next guard.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
from ctypes import byref, c_size_t, c_void_p
from typing import Any, Callable

from ._errors import XmemError
from ._native import failure, quick

_references = sys.getrefcount


class Mapping:
    """Addresses that stay good for as long as this object lives."""

    __slots__ = ("__weakref__", "_address", "_close", "_length", "when_gone")

    when_gone: Callable[[], None] | None

    def __init__(self, address: int, length: int) -> None:
        self._address = address
        self._length = length
        self._close = quick.xmem_window_close
        self.when_gone = None

    # On whatever thread the last array dies.
    def __del__(self) -> None:
        self._close(self._address, self._length)
        if self.when_gone is not None:
            self.when_gone()

    def detach(self) -> int | None:
        """The address of the buffer's window from now on, where it has one."""
        moved = c_void_p()
        status = quick.xmem_window_detach(self._address, self._length, byref(moved))
        if status < 0:
            raise failure(status, "detaching arrays")
        return moved.value


class Window:
    """One buffer, mapped. ``exporter`` is what arrays hold; it holds the mapping."""

    __slots__ = ("address", "exporter", "index", "length")

    def __init__(
        self, index: int, address: int, length: int, kind: type[ctypes.Array[Any]]
    ) -> None:
        self.index = index
        self.address = address
        self.length = length
        self.exporter = kind.from_address(address)
        self.exporter.mapping = Mapping(address, length)  # type: ignore[attr-defined]

    @property
    def mapping(self) -> Mapping:
        mapping: Mapping = self.exporter.mapping  # type: ignore[attr-defined]
        return mapping

    def is_looked_through(self) -> bool:
        return _references(self.exporter) > _unused

    def detached(self) -> Window | None:
        """Takes the buffer away from all arrays; returns its window from now on, if it has one."""
        moved = self.mapping.detach()
        if moved is None:
            return None
        return Window(self.index, moved, self.length, type(self.exporter))


class _Reference:
    """As much of a window as the count of references needs."""

    __slots__ = ("exporter",)
    is_looked_through = Window.is_looked_through

    def __init__(self) -> None:
        self.exporter = object()


def _count_unused() -> int:
    """The references to an exporter that nobody looks through, as this interpreter counts them."""
    window = _Reference()
    return _references(window.exporter)


_unused = _count_unused()


class Windows:
    """The windows of one open of a pool."""

    kept_max = 1024
    """Windows that are kept for buffers which this open does not hold at the moment."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kind: type[ctypes.Array[Any]] | None = None
        self._idle: dict[int, Window] = {}
        self._taken: set[Window] = set()

    def take(self, index: int, handle: int) -> Window:
        """For a guard that has none yet."""
        window = self._idle.pop(index, None)
        if window is None:
            window = self._made(index, handle)
        self._taken.add(window)
        return window

    def _made(self, index: int, handle: int) -> Window:
        address, length = c_void_p(), c_size_t()
        status = quick.xmem_window_open(self._descriptor, handle, byref(address), byref(length))
        if status < 0:
            raise failure(status, "mapping a buffer for arrays")
        kind = self._kind
        if kind is None:
            # A class of its own, so that the exporter can have an attribute.
            base = ctypes.c_ubyte * length.value
            kind = type("Buffer", (base,), {})
            self._kind = kind
        return Window(index, address.value or 0, length.value, kind)

    def give_back(self, window: Window, detach: bool) -> None:
        """The guard ends. ``detach``: its arrays lose the buffer."""
        after: Window | None = window
        if detach and window.is_looked_through():
            after = window.detached()
        self._taken.discard(window)
        if after is not None:
            self._keep(after)

    def _keep(self, window: Window) -> None:
        if window.index in self._idle:
            self._let_go(window)
            return
        if len(self._idle) >= self.kept_max:
            self._let_go(self._idle.pop(next(iter(self._idle))))
        self._idle[window.index] = window

    def _let_go(self, window: Window) -> None:
        # The arrays of a mode that lets them see the buffer still do.
        if window.is_looked_through():
            self._taken.add(window)

    def forget(self, window: Window) -> None:
        """Its arrays have the hold from now on."""
        self._taken.discard(window)

    def close(self) -> None:
        """No array sees the pool any more."""
        windows = [*self._idle.values(), *self._taken]
        self._idle.clear()
        self._taken.clear()
        for window in windows:
            if window.is_looked_through():
                detach_anyway(window.mapping)


def detach_anyway(mapping: Mapping) -> None:
    """Where there is no going back: the hold went elsewhere, or the pool closes."""
    try:
        moved = mapping.detach()
    except XmemError as error:
        warnings.warn(f"an array still sees the pool: {error}", RuntimeWarning, stacklevel=3)
        return
    if moved is not None:
        quick.xmem_window_close(moved, mapping._length)
