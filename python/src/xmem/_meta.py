"""What a buffer's bytes mean, as all its holders see it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref
from typing import TYPE_CHECKING, Any

from ._arguments import EXACT_MAX, integer, invalid, text
from ._errors import XmemError
from ._generated import DTYPES, LIMIT_DIMENSIONS, LIMIT_TEXT_BYTES, Description
from ._native import quick

if TYPE_CHECKING:
    from ._guard import Guard

_numbers = {name: number for number, name in enumerate(DTYPES)}


def dtype_number(value: Any) -> int:
    """Of a name, a numpy dtype, or a numpy type."""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if name is None:
        name = getattr(value, "__name__", None)
    number = _numbers.get(name) if isinstance(name, str) else None
    if number is None:
        invalid(f"dtype is {value!r}, not one of {', '.join(DTYPES)}")
    return number


def dimensions(value: Any, name: str, least: int) -> list[int]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        invalid(f"{name} is {value!r}, not a sequence of integers")
    numbers = [integer(each, f"a number of {name}", least, EXACT_MAX) for each in value]
    if len(numbers) > LIMIT_DIMENSIONS:
        invalid(f"{name} has {len(numbers)} dimensions, and at most {LIMIT_DIMENSIONS} fit")
    return numbers


def described(guard: Guard) -> Description:
    description = Description()
    description.size = ctypes.sizeof(Description)
    descriptor, handle = guard._held()
    guard._check(
        quick.xmem_get_description(descriptor, handle, byref(description)), "reading the meta"
    )
    return description


class Meta:
    """The description of a guard's buffer, which all its holders share.

    Each attribute is read from the pool when it is asked for, and written there when it is set. An
    acquire resets all of them: "uint8", one dimension of as many as the buffer has bytes, 0, "".

    Raises RELEASED where the guard has ended, and READ_ONLY where it only reads and something is
    set. INVALID_ARGUMENT: a value does not fit; the old one stays.
    """

    __slots__ = ("_guard",)

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __repr__(self) -> str:
        try:
            values = ", ".join(f"{name}={getattr(self, name)!r}" for name in _attributes)
        except XmemError as error:
            return f"<xmem.Meta: {error.code}>"
        return f"<xmem.Meta {values}>"

    def _set(self, what: str, call: Any, *values: Any) -> None:
        guard = self._guard
        descriptor, handle = guard._held()
        guard._check_writable(f"setting meta.{what}")
        guard._check(call(descriptor, handle, *values), f"setting meta.{what}")

    @property
    def dtype(self) -> str:
        """What the elements are: "uint8" to "float64"."""
        return DTYPES[described(self._guard).dtype]

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._set("dtype", quick.xmem_set_dtype, dtype_number(value))

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements per dimension, at most 8."""
        description = described(self._guard)
        return tuple(description.shape[: description.shape_count])

    @shape.setter
    def shape(self, value: Sequence[int]) -> None:
        numbers = dimensions(value, "shape", 0)
        array = (ctypes.c_uint64 * LIMIT_DIMENSIONS)(*numbers)
        self._set("shape", quick.xmem_set_shape, byref(array), len(numbers))

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, per dimension. Where they are the contiguous ones
        they change with shape and dtype."""
        description = described(self._guard)
        return tuple(description.strides[: description.stride_count])

    @strides.setter
    def strides(self, value: Sequence[int]) -> None:
        numbers = dimensions(value, "strides", -EXACT_MAX)
        array = (ctypes.c_int64 * LIMIT_DIMENSIONS)(*numbers)
        self._set("strides", quick.xmem_set_strides, byref(array), len(numbers))

    @property
    def timestamp(self) -> int:
        """The producer decides its unit."""
        return described(self._guard).timestamp

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        number = integer(value, "timestamp", 0, EXACT_MAX)
        self._set("timestamp", quick.xmem_set_timestamp, number)

    @property
    def sequence(self) -> int:
        """The buffer's number among those of its producer."""
        return described(self._guard).sequence

    @sequence.setter
    def sequence(self, value: int) -> None:
        number = integer(value, "sequence", 0, EXACT_MAX)
        self._set("sequence", quick.xmem_set_sequence, number)

    @property
    def content_type(self) -> str:
        """For example a MIME type; at most 31 bytes of UTF-8."""
        return described(self._guard).content_type.decode("utf-8", "replace")

    @content_type.setter
    def content_type(self, value: str) -> None:
        encoded = text(value, "content_type", LIMIT_TEXT_BYTES)
        self._set("content_type", quick.xmem_set_content_type, encoded)

    @property
    def producer(self) -> str:
        """Who made the content; at most 31 bytes of UTF-8."""
        return described(self._guard).producer.decode("utf-8", "replace")

    @producer.setter
    def producer(self, value: str) -> None:
        encoded = text(value, "producer", LIMIT_TEXT_BYTES)
        self._set("producer", quick.xmem_set_producer, encoded)


_attributes = ("dtype", "shape", "strides", "timestamp", "sequence", "content_type", "producer")
