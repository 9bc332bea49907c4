"""A pool of buffers in shared memory that processes and threads draw from and hand to each other
without copying: Python, Bun (TypeScript), C, all in one pool.

Sizes are bytes. Times are milliseconds, and their names end with ``_ms``. See docs/languages.md.
"""

from __future__ import annotations

from ._channel import Channel
from ._errors import XmemError
from ._guard import Guard
from ._looking import (
    ChannelStats,
    Participant,
    PoolInfo,
    PoolStats,
    ReclaimReport,
    Subscriber,
)
from ._meta import Meta
from ._pool import Pool, wait_any
from ._request import Request, Requests

__all__ = [
    "Channel",
    "ChannelStats",
    "Guard",
    "Meta",
    "Participant",
    "Pool",
    "PoolInfo",
    "PoolStats",
    "ReclaimReport",
    "Request",
    "Requests",
    "Subscriber",
    "XmemError",
    "wait_any",
]
