"""A guard: a hold of one buffer, until it ends."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from ctypes import byref, c_size_t, c_uint32, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from . import _arrays
from ._arguments import integer, invalid
from ._errors import XmemError
from ._meta import Meta, described, dimensions
from ._native import failure, quick
from ._windows import Window, detach_anyway

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._pool import Pool

_release = quick.xmem_release

INDEX_MASK = 0xFFFFFF

_live: Literal[""] = ""


class Guard:
    """One hold of one buffer: its bytes, and what they mean. Use it with ``with``.

    What its bytes are seen through, ``array()``, ``buffer`` and what numpy and others make of
    them, is detached when the guard ends, by ``release``, ``send``, ``hand_off`` or the pool's
    ``close``: it reads as zeros from then on, and writes to it are seen by nobody else.

    A guard that is lost without an end is a ResourceWarning. Its buffer is given back, as soon as
    no array over it is left either.
    """

    __slots__ = ("__weakref__", "_ended", "_handle", "_pool", "_size", "_window", "_writable")

    # By what it ended; empty while it is held.
    _ended: str
    _handle: int
    _pool: Pool
    _size: int
    _window: Window | None
    _writable: bool

    def __init__(self) -> None:
        raise TypeError("guards are made by a pool or a channel: pool.acquire(), channel.receive()")

    def __repr__(self) -> str:
        what = f"index {self.index}, {self._size} bytes" if not self._ended else self._ended
        return f"<xmem.Guard of pool {self._pool.name!r}: {what}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a guard cannot be pickled: send its buffer through a channel, or the number that "
            "share() or hand_off() returns, and take() it there"
        )

    def __enter__(self) -> Guard:
        self._held()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_ended", "never made"):
            return
        pool = self._pool
        if not pool._is_open_here():
            return
        warnings.warn(f"lost without release(): {self!r}", ResourceWarning, source=self)
        window = self._window
        self._ended = "lost"
        if window is None or not window.is_looked_through():
            pool._give_back_lost(self._handle, window)
            return
        pool._leave_to_arrays(self._handle, window)

    def _held(self) -> tuple[int, int]:
        """The pool's descriptor and the handle, as native calls take them."""
        if self._ended:
            self._raise_ended()
        return self._pool._descriptor, self._handle

    def _raise_ended(self) -> NoReturn:
        raise XmemError(
            "RELEASED", f"the guard of pool {self._pool.name!r} was {self._ended} before"
        )

    def _check(self, status: int, tried: str) -> None:
        if status < 0:
            raise failure(status, tried, f"pool {self._pool.name!r}")

    def _check_writable(self, tried: str) -> None:
        if not self._writable:
            raise XmemError(
                "READ_ONLY",
                f"{tried} of pool {self._pool.name!r}: the guard only reads; "
                "pool.get_mut(guard.handle) gets one that writes",
            )

    @property
    def pool(self) -> Pool:
        """Where the buffer is."""
        return self._pool

    @property
    def index(self) -> int:
        """The buffer's place in the pool."""
        return self._handle & INDEX_MASK

    @property
    def handle(self) -> int:
        """Names this use of this buffer, in every process that has the pool open."""
        return self._handle

    @property
    def size(self) -> int:
        """The buffer's bytes."""
        return self._size

    @property
    def writable(self) -> bool:
        """Whether what it gives can be written to. A promise between friends, not a protection."""
        return self._writable

    @property
    def meta(self) -> Meta:
        """What the bytes mean: a live object, which reads and writes the pool."""
        return Meta(self)

    @property
    def deliveries(self) -> int:
        """How often the buffer was received, of a channel that redelivers; else 0. Raises
        RELEASED."""
        descriptor, handle = self._held()
        count = c_uint32()
        self._check(quick.xmem_deliveries(descriptor, handle, byref(count)), "deliveries")
        return count.value

    def _exporter(self) -> Any:
        window = self._window
        if window is None:
            _, handle = self._held()
            window = self._pool._windows.take(handle & INDEX_MASK, handle)
            self._window = window
        return window.exporter

    @property
    def buffer(self) -> memoryview:
        """The bytes as a memoryview, without a copy; read-only where the guard is. Raises
        RELEASED."""
        self._held()
        view = memoryview(self._exporter()).cast("B")[: self._size]
        return view if self._writable else view.toreadonly()

    def __buffer__(self, flags: int) -> memoryview:
        # Python 3.12 and later: memoryview(guard), file.write(guard), hashlib; numpy prefers it.
        try:
            return self.array().data
        except ImportError:
            return self.buffer

    def array(self, dtype: Any = None, shape: Sequence[int] | None = None) -> NDArray[Any]:
        """The bytes as a numpy array, without a copy; read-only where the guard is.

        :param dtype: Instead of ``meta.dtype``, ``meta.shape`` and ``meta.strides``: contiguous
            elements of this type.
        :param shape: With a dtype; by default one dimension of as many as there are.

        Raises RELEASED. INVALID_ARGUMENT: what the buffer says of itself does not fit its bytes; or
        the dtype or the shape does not. ImportError: numpy is not installed.
        """
        if self._ended:
            self._raise_ended()
        if dtype is not None:
            dims = None if shape is None else tuple(dimensions(shape, "shape", 0))
            array = _arrays.as_asked(self._exporter(), self._size, dtype, dims)
        elif shape is not None:
            invalid("a shape needs a dtype")
        else:
            description = described(self)
            array = _arrays.as_described(self._exporter(), self._size, description)
        if not self._writable:
            array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        np = _arrays.numpy()
        array = self.array()
        if copy is False and dtype is not None and np.dtype(dtype) != array.dtype:
            raise ValueError("another dtype needs a copy")
        if copy:
            return np.array(array, dtype)  # type: ignore[no-any-return]
        return array if dtype is None else np.asarray(array, dtype)

    def __dlpack__(self, **keywords: Any) -> Any:
        """For torch, jax and others. numpy refuses a guard that only reads, before its version
        2.1."""
        return self.array().__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # The processor's own memory.

    def copy_from(self, data: Any) -> None:
        """Fills the buffer from an array, or from bytes, in one copy, and describes it so.

        The buffer must have room for it; ``truncate`` makes it as small as the data.
        Raises RELEASED, READ_ONLY. INVALID_ARGUMENT: it does not fit, or is of no dtype of xmem's.
        """
        np = _arrays.numpy()
        self._held()
        self._check_writable("copy_from()")
        source = source_of(data)
        if source.nbytes > self._size:
            invalid(f"the data has {source.nbytes} bytes, and the buffer {self._size}")
        meta = self.meta
        target = self.array(source.dtype.newbyteorder("="), source.shape)
        np.copyto(target, source)
        meta.dtype = source.dtype
        meta.shape = source.shape
        meta.strides = target.strides

    def _finish(self, how: str) -> None:
        """The hold went elsewhere."""
        self._ended = how
        window = self._window
        if window is None:
            return
        self._window = None
        windows = self._pool._windows
        try:
            windows.give_back(window, self._pool._detaches)
        except XmemError:
            windows.forget(window)
            detach_anyway(window.mapping)

    def release(self) -> None:
        """Gives the hold back. With the last one the buffer is free. Again it does nothing.

        Raises INVALID_ARGUMENT on another thread than that which opened the pool. OUT_OF_MEMORY: an
        array is left, and the process has too many mappings to detach it; the hold stays.
        """
        if self._ended:
            return
        pool = self._pool
        window = self._window
        if window is not None:
            pool._check_thread("release()")
            # First, so that no array sees what the next holder does.
            pool._windows.give_back(window, pool._detaches)
            self._window = None
        status = _release(pool._descriptor, self._handle)
        if status < 0:
            # The pool was closed here, or by a fork: there is nothing to give back.
            error = failure(status, "release()", f"pool {pool.name!r}")
            if error.code not in ("POOL_CLOSED", "STALE_HANDLE"):
                raise error
        self._ended = "released"

    def clone(self) -> Guard:
        """One more hold of the buffer. Raises RELEASED, TOO_MANY_REFERENCES."""
        descriptor, handle = self._held()
        status = quick.xmem_get(descriptor, handle, None)
        self._check(status, "clone()")
        return made(self._pool, handle, self._size, self._writable)

    def share(self) -> int:
        """Makes an in-flight reference, and returns the handle: send it to whoever is to ``take``
        it.

        This guard stays. Raises RELEASED, TOO_MANY_REFERENCES.
        """
        descriptor, handle = self._held()
        self._check(quick.xmem_share(descriptor, handle), "share()")
        return handle

    def hand_off(self) -> int:
        """Turns the hold into an in-flight reference, and returns the handle. The guard has ended.

        Raises RELEASED.
        """
        descriptor, handle = self._held()
        self._check(quick.xmem_hand_off(descriptor, handle), "hand_off()")
        self._finish("handed off")
        return handle

    def forget(self) -> int:
        """As ``hand_off``, but returns the bare index."""
        return self.hand_off() & INDEX_MASK

    def truncate(self, size: int) -> None:
        """Makes the buffer smaller, for all its holders. Arrays stay as they are.

        Raises RELEASED, READ_ONLY. INVALID_ARGUMENT: it has not so many bytes.
        """
        descriptor, handle = self._held()
        self._check_writable("truncate()")
        number = integer(size, "size")
        self._check(quick.xmem_truncate(descriptor, handle, number), "truncate()")
        self._size = number


def source_of(data: Any) -> NDArray[Any]:
    """What is copied from: an array, or anything that gives its bytes."""
    np = _arrays.numpy()
    try:
        return np.asarray(data) if hasattr(data, "__array__") else np.frombuffer(data, np.uint8)  # type: ignore[no-any-return]
    except (TypeError, ValueError, BufferError) as cause:
        raise XmemError(
            "INVALID_ARGUMENT", f"the data is {type(data).__name__}: {cause}"
        ) from cause


def made(pool: Pool, handle: int, size: int, writable: bool) -> Guard:
    """The guard of a hold that the pool has just got."""
    guard = Guard.__new__(Guard)
    guard._pool = pool
    guard._handle = handle
    guard._size = size
    guard._writable = writable
    guard._window = None
    guard._ended = _live
    return guard


def adopted(pool: Pool, handle: c_uint64, writable: bool) -> Guard:
    """The same, of a buffer that somebody else acquired."""
    size = c_size_t()
    number = handle.value
    descriptor = pool._descriptor
    status = quick.xmem_data(descriptor, number, None, byref(size))
    if status < 0:
        error = failure(status, "looking at a buffer", f"pool {pool.name!r}")
        _release(descriptor, number)
        raise error
    return made(pool, number, size.value, writable)
