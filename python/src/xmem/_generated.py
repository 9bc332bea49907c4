# Generated from zig/abi/c/ by `bun run generate`. Do not edit.
"""The native library's interface for C, as ctypes wants to know it."""

from __future__ import annotations

import ctypes
from typing import Any

CODES = {
    1: "POOL_EXISTS",
    2: "POOL_NOT_FOUND",
    3: "POOL_FULL",
    4: "POOL_FLUSHING",
    5: "POOL_CLOSED",
    6: "POOL_CORRUPT",
    7: "POOL_BUSY",
    8: "VERSION_MISMATCH",
    9: "OPTIONS_MISMATCH",
    10: "PERMISSION_DENIED",
    11: "TOO_MANY_PARTICIPANTS",
    12: "BUFFER_NOT_FOUND",
    13: "BUFFER_IN_USE",
    14: "STALE_HANDLE",
    15: "NO_REFERENCE",
    16: "TOO_MANY_REFERENCES",
    17: "TOO_LARGE",
    18: "OUT_OF_MEMORY",
    19: "CHANNEL_FULL",
    20: "CHANNEL_CLOSED",
    21: "READ_ONLY",
    22: "RELEASED",
    23: "TIMEOUT",
    24: "INVALID_ARGUMENT",
    25: "UNSUPPORTED_PLATFORM",
    26: "SYSTEM",
    27: "PEER_DIED",
    28: "INCOMPLETE",
    29: "DAMAGED",
}

DTYPES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
)

MODES = {
    "queue": 1,
    "broadcast": 2,
}

OVERFLOWS = {
    "block": 1,
    "drop-newest": 2,
    "drop-oldest": 3,
}

ENDS = {
    "sending": 1,
    "receiving": 2,
    "closing": 3,
}

LIMIT_CAPACITY = 16777214
LIMIT_PARTICIPANTS = 4096
LIMIT_LOCAL_CACHE = 512
LIMIT_CHANNELS = 1024
LIMIT_WAIT_SOURCES = 128
LIMIT_CHANNEL_CAPACITY = 65536
LIMIT_CHANNEL_NAME_BYTES = 63
LIMIT_CHANNEL_SUBSCRIBERS = 256
LIMIT_REFERENCES = 65535
LIMIT_DESCRIPTORS = 16384
LIMIT_MADE_STRIDE = 512
LIMIT_NAME_BYTES = 200
LIMIT_TEXT_BYTES = 31
LIMIT_DIMENSIONS = 8
LIMIT_MODE = 511


class Options(ctypes.Structure):
    size: int
    capacity: int
    buffer_size: int
    max_participants: int
    lease_timeout_ms: int
    max_committed_bytes: int
    channels: int
    mode: int
    zero_on_release: int
    ephemeral: int
    replace_abandoned: int
    allow_owner: int
    allow_group: int
    local_cache: int
    participant_name: bytes | None

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_uint32),
        ("buffer_size", ctypes.c_uint32),
        ("max_participants", ctypes.c_uint32),
        ("lease_timeout_ms", ctypes.c_uint32),
        ("max_committed_bytes", ctypes.c_uint64),
        ("channels", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("zero_on_release", ctypes.c_uint32),
        ("ephemeral", ctypes.c_uint32),
        ("replace_abandoned", ctypes.c_uint32),
        ("allow_owner", ctypes.c_uint32),
        ("allow_group", ctypes.c_uint32),
        ("local_cache", ctypes.c_uint32),
        ("participant_name", ctypes.c_char_p),
    ]


class PoolInfo(ctypes.Structure):
    size: int
    capacity: int
    buffer_size: int
    max_participants: int
    lease_timeout_ms: int
    max_committed_bytes: int
    total_bytes: int
    created_at_ms: int
    channels: int
    mode: int
    owner: int
    zero_on_release: int
    ephemeral: int
    group: int

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_uint32),
        ("buffer_size", ctypes.c_uint32),
        ("max_participants", ctypes.c_uint32),
        ("lease_timeout_ms", ctypes.c_uint32),
        ("max_committed_bytes", ctypes.c_uint64),
        ("total_bytes", ctypes.c_uint64),
        ("created_at_ms", ctypes.c_uint64),
        ("channels", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("owner", ctypes.c_uint32),
        ("zero_on_release", ctypes.c_uint32),
        ("ephemeral", ctypes.c_uint32),
        ("group", ctypes.c_uint32),
    ]


class PoolStats(ctypes.Structure):
    size: int
    capacity: int
    free: int
    used: int
    parked: int
    in_flight: int
    waiters: int
    committed_bytes: int
    flushing: int
    linked: int
    oldest_lease_ms: int
    longest_hold_ms: int
    alive: int
    acquired: int
    released: int
    full: int
    waits: int
    timeouts: int
    recoveries: int
    deferred: int
    out_of_memory: int
    recovered_participants: int
    recovered_references: int
    recovered_buffers: int
    expired_references: int
    bytes_committed: int
    bytes_given_back: int

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("parked", ctypes.c_uint64),
        ("in_flight", ctypes.c_uint64),
        ("waiters", ctypes.c_uint64),
        ("committed_bytes", ctypes.c_uint64),
        ("flushing", ctypes.c_uint64),
        ("linked", ctypes.c_uint64),
        ("oldest_lease_ms", ctypes.c_uint64),
        ("longest_hold_ms", ctypes.c_uint64),
        ("alive", ctypes.c_uint64),
        ("acquired", ctypes.c_uint64),
        ("released", ctypes.c_uint64),
        ("full", ctypes.c_uint64),
        ("waits", ctypes.c_uint64),
        ("timeouts", ctypes.c_uint64),
        ("recoveries", ctypes.c_uint64),
        ("deferred", ctypes.c_uint64),
        ("out_of_memory", ctypes.c_uint64),
        ("recovered_participants", ctypes.c_uint64),
        ("recovered_references", ctypes.c_uint64),
        ("recovered_buffers", ctypes.c_uint64),
        ("expired_references", ctypes.c_uint64),
        ("bytes_committed", ctypes.c_uint64),
        ("bytes_given_back", ctypes.c_uint64),
    ]


class Participant(ctypes.Structure):
    row: int
    pid: int
    tid: int
    alive: int
    holds: int
    waiting: int
    started: int
    acquired: int
    released: int
    waits: int
    timeouts: int
    name: bytes

    _fields_ = [
        ("row", ctypes.c_uint64),
        ("pid", ctypes.c_uint64),
        ("tid", ctypes.c_uint64),
        ("alive", ctypes.c_uint64),
        ("holds", ctypes.c_uint64),
        ("waiting", ctypes.c_uint64),
        ("started", ctypes.c_uint64),
        ("acquired", ctypes.c_uint64),
        ("released", ctypes.c_uint64),
        ("waits", ctypes.c_uint64),
        ("timeouts", ctypes.c_uint64),
        ("name", ctypes.c_char * 32),
    ]


class Description(ctypes.Structure):
    size: int
    dtype: int
    shape_count: int
    shape: ctypes.Array[Any]
    stride_count: int
    reserved: int
    strides: ctypes.Array[Any]
    timestamp: int
    sequence: int
    content_type: bytes
    producer: bytes

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("dtype", ctypes.c_uint32),
        ("shape_count", ctypes.c_uint32),
        ("shape", ctypes.c_uint64 * 8),
        ("stride_count", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("strides", ctypes.c_int64 * 8),
        ("timestamp", ctypes.c_uint64),
        ("sequence", ctypes.c_uint64),
        ("content_type", ctypes.c_char * 32),
        ("producer", ctypes.c_char * 32),
    ]


class ChannelOptions(ctypes.Structure):
    size: int
    capacity: int
    mode: int
    overflow: int
    history: int
    sends_only: int
    redeliver: int
    max_deliveries: int
    reserved: int
    dead_letter: bytes | None

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("overflow", ctypes.c_uint32),
        ("history", ctypes.c_uint32),
        ("sends_only", ctypes.c_uint32),
        ("redeliver", ctypes.c_uint32),
        ("max_deliveries", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("dead_letter", ctypes.c_char_p),
    ]


class ChannelInfo(ctypes.Structure):
    size: int
    capacity: int
    mode: int
    overflow: int
    history: int
    redeliver: int
    max_deliveries: int

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("overflow", ctypes.c_uint32),
        ("history", ctypes.c_uint32),
        ("redeliver", ctypes.c_uint32),
        ("max_deliveries", ctypes.c_uint32),
    ]


class ChannelStats(ctypes.Structure):
    size: int
    number: int
    mode: int
    overflow: int
    capacity: int
    history: int
    redeliver: int
    max_deliveries: int
    closed: int
    open_by: int
    queued: int
    sent: int
    received: int
    dropped: int
    redelivered: int
    waiting_senders: int
    waiting_receivers: int
    subscribers: int
    name: bytes

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("number", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("overflow", ctypes.c_uint64),
        ("capacity", ctypes.c_uint64),
        ("history", ctypes.c_uint64),
        ("redeliver", ctypes.c_uint64),
        ("max_deliveries", ctypes.c_uint64),
        ("closed", ctypes.c_uint64),
        ("open_by", ctypes.c_uint64),
        ("queued", ctypes.c_uint64),
        ("sent", ctypes.c_uint64),
        ("received", ctypes.c_uint64),
        ("dropped", ctypes.c_uint64),
        ("redelivered", ctypes.c_uint64),
        ("waiting_senders", ctypes.c_uint64),
        ("waiting_receivers", ctypes.c_uint64),
        ("subscribers", ctypes.c_uint64),
        ("name", ctypes.c_char * 64),
    ]


class Subscriber(ctypes.Structure):
    pid: int
    tid: int
    alive: int
    lag: int
    received: int
    missed: int

    _fields_ = [
        ("pid", ctypes.c_uint64),
        ("tid", ctypes.c_uint64),
        ("alive", ctypes.c_uint64),
        ("lag", ctypes.c_uint64),
        ("received", ctypes.c_uint64),
        ("missed", ctypes.c_uint64),
    ]


class Source(ctypes.Structure):
    pool: int
    channel: int

    _fields_ = [
        ("pool", ctypes.c_uint32),
        ("channel", ctypes.c_uint32),
    ]


class PoolName(ctypes.Structure):
    name: bytes

    _fields_ = [
        ("name", ctypes.c_char * 208),
    ]


class ReclaimReport(ctypes.Structure):
    size: int
    participants: int
    references: int
    buffers: int
    deferred: int

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("participants", ctypes.c_uint32),
        ("references", ctypes.c_uint32),
        ("buffers", ctypes.c_uint32),
        ("deferred", ctypes.c_uint32),
    ]


FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "xmem_create": (
        ctypes.c_int32,
        [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_open": (
        ctypes.c_int32,
        [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_open_or_create": (
        ctypes.c_int32,
        [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_close": (
        ctypes.c_int32,
        [ctypes.c_uint32],
    ),
    "xmem_unlink": (
        ctypes.c_int32,
        [ctypes.c_char_p],
    ),
    "xmem_unlink_pool": (
        ctypes.c_int32,
        [ctypes.c_uint32],
    ),
    "xmem_info": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_list": (
        ctypes.c_int32,
        [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_prune": (
        ctypes.c_int32,
        [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_observe": (
        ctypes.c_int32,
        [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_acquire": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_acquire_timed": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_release": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_data": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_truncate": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32],
    ),
    "xmem_window_open": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_window_detach": (
        ctypes.c_int32,
        [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p],
    ),
    "xmem_window_close": (
        ctypes.c_int32,
        [ctypes.c_void_p, ctypes.c_size_t],
    ),
    "xmem_get": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_take": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_share": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_hand_off": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_add_ref": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_unref": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_release_by_hand": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_set_ref_count": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32],
    ),
    "xmem_ref_count": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_try_release": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_release_buffer": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_channel_open": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
    ),
    "xmem_channel_leave": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32],
    ),
    "xmem_channel_close": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32],
    ),
    "xmem_get_channel_info": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_send": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_try_send": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_send_timed": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64],
    ),
    "xmem_receive": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_receive_timed": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_deliveries": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_wait_any": (
        ctypes.c_int32,
        [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_request": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_request_number": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_reply": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64],
    ),
    "xmem_refuse": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64],
    ),
    "xmem_now_ns": (
        ctypes.c_uint64,
        [],
    ),
    "xmem_acquire_slice": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_send_slice": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_receive_slice": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_wait_any_slice": (
        ctypes.c_int32,
        [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_wait_end": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32],
    ),
    "xmem_loop_open": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_loop_arm": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_loop_rest": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32],
    ),
    "xmem_acquire_next": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_receive_next": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_send_next": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_get_description": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p],
    ),
    "xmem_set_dtype": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32],
    ),
    "xmem_set_timestamp": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64],
    ),
    "xmem_set_sequence": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64],
    ),
    "xmem_set_shape": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint32],
    ),
    "xmem_set_strides": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint32],
    ),
    "xmem_set_content_type": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p],
    ),
    "xmem_set_producer": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p],
    ),
    "xmem_preallocate": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_trim": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_flush": (
        ctypes.c_int32,
        [ctypes.c_uint32],
    ),
    "xmem_unflush": (
        ctypes.c_int32,
        [ctypes.c_uint32],
    ),
    "xmem_reclaim": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_stats": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_participants": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_get_channel_stats": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_channels": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_subscribers": (
        ctypes.c_int32,
        [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p],
    ),
    "xmem_error_name": (
        ctypes.c_char_p,
        [ctypes.c_int32],
    ),
    "xmem_error_text": (
        ctypes.c_size_t,
        [ctypes.c_void_p, ctypes.c_size_t],
    ),
    "xmem_error_errno": (
        ctypes.c_int32,
        [],
    ),
}
