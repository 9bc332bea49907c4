"""What a user may give: checked before anything of it reaches the native library."""

from __future__ import annotations

import operator
from typing import Any, NoReturn, TypeVar

from ._errors import XmemError
from ._native import FOREVER, quick

UINT32_MAX = 2**32 - 1
EXACT_MAX = 2**53
"""Integers up to here are exact in every language that shares a pool."""

_T = TypeVar("_T")


def invalid(what: str) -> NoReturn:
    raise XmemError("INVALID_ARGUMENT", what)


def integer(value: Any, name: str, least: int = 0, most: int = UINT32_MAX) -> int:
    """An integer, also one of numpy's, and neither a bool nor a float."""
    if isinstance(value, bool):
        invalid(f"{name} is {value!r}, not an integer")
    try:
        number = operator.index(value)
    except TypeError:
        invalid(f"{name} is {value!r}, not an integer")
    if not least <= number <= most:
        invalid(f"{name} is {number}, not from {least} to {most}")
    return number


def reference(value: Any) -> int:
    """A handle or a bare index."""
    return integer(value, "ref", 0, EXACT_MAX - 1)


def flag(value: Any, name: str) -> int:
    if not isinstance(value, bool):
        invalid(f"{name} is {value!r}, not True or False")
    return int(value)


def text(value: Any, name: str, bytes_max: int) -> bytes:
    if not isinstance(value, str):
        invalid(f"{name} is {value!r}, not a str")
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError as error:
        invalid(f"{name} is no text: {error}")
    if len(encoded) > bytes_max:
        invalid(f"{name} has {len(encoded)} bytes, and at most {bytes_max} fit")
    if b"\0" in encoded:
        invalid(f"{name} has a zero byte")
    return encoded


def name(value: Any) -> bytes:
    """The native side says which names are allowed; this one, that it is a text at all."""
    return text(value, "name", 4096)


def choice(value: Any, what: str, choices: dict[str, _T]) -> _T:
    if isinstance(value, str) and value in choices:
        return choices[value]
    invalid(f"{what} is {value!r}, not one of {', '.join(map(repr, choices))}")


def deadline_ns(timeout_ms: Any) -> int:
    """By the native side's clock; None waits for ever."""
    if timeout_ms is None:
        return FOREVER
    now: int = quick.xmem_now_ns()
    return now + integer(timeout_ms, "timeout_ms") * 1_000_000
