"""The native library: finding it, loading it, and its calls. No other file calls ctypes'
loaders."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from ._errors import XmemError
from ._generated import CODES, FUNCTIONS

FOREVER = 2**64 - 1


def _candidates() -> list[Path]:
    file = "libxmem.dylib" if sys.platform == "darwin" else "libxmem.so"
    here = Path(__file__).resolve().parent
    # In a wheel beside this file; in a clone, where `bun run build` puts it.
    return [here / file, here.parents[2] / "build" / file]


def _library() -> str:
    named = os.environ.get("XMEM_LIBRARY")
    if named:
        return named
    candidates = _candidates()
    for candidate in candidates:
        if candidate.is_file():
            return str(candidate)
    looked = ", ".join(map(str, candidates))
    raise XmemError(
        "UNSUPPORTED_PLATFORM",
        f"no native library for {sys.platform} {platform.machine()}; looked at {looked}. "
        "Install the wheel of this platform, or name the library in XMEM_LIBRARY",
    )


class _Calls:
    """The library's functions, as attributes."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, (returns, takes) in FUNCTIONS.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise XmemError(
                    "VERSION_MISMATCH",
                    f"{library._name} is of another version of xmem: it has no {name}",
                ) from None
            function.restype = returns
            function.argtypes = takes
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _load() -> tuple[_Calls, _Calls]:
    path = _library()
    try:
        return _Calls(ctypes.PyDLL(path)), _Calls(ctypes.CDLL(path))
    except OSError as cause:
        raise XmemError(
            "UNSUPPORTED_PLATFORM", f"the native library {path} cannot be loaded: {cause}"
        ) from cause


quick, patient = _load()
"""``quick`` keeps the interpreter's lock: for calls that are shorter than giving it away and taking
it back. ``patient`` gives it away: for calls that may wait or take long."""


def code_of(status: int) -> str:
    return CODES.get(-status, "SYSTEM")


# The core's texts name things as C and TypeScript have them.
_spoken = (
    (re.compile(r"no pool is open as \d+ in this process"), "the pool is closed in this process"),
    (re.compile(r"openOrCreate\(\)"), "open_or_create()"),
    (re.compile(r"replaceAbandoned: true"), "replace_abandoned=True"),
)


def failure(status: int, tried: str, on: str | None = None) -> XmemError:
    """The error of this thread's last call, which returned ``status``."""
    length = quick.xmem_error_text(None, 0)
    text = ctypes.create_string_buffer(length + 1)
    quick.xmem_error_text(ctypes.addressof(text), length + 1)
    reason = text.value.decode("utf-8", "replace")
    for theirs, ours in _spoken:
        reason = theirs.sub(ours, reason)
    where = f" of {on}" if on else ""
    return XmemError(code_of(status), f"{tried}{where}: {reason}", quick.xmem_error_errno())
