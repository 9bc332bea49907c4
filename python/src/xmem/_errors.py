"""The one class of errors."""

from __future__ import annotations

__all__ = ["XmemError"]


class XmemError(Exception):
    """What xmem could not do. ``code`` says why, for programs: "POOL_FULL", "TIMEOUT", ...

    ``errno`` is that of the system call that failed, 0 where there was none.
    """

    code: str
    errno: int

    def __init__(self, code: str, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.code}: {self.args[0]}"

    def __reduce__(self) -> tuple[type[XmemError], tuple[str, str, int]]:
        # A pool of processes sends its workers' errors on.
        return type(self), (self.code, str(self.args[0]), self.errno)
