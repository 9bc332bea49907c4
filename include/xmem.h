/*
 * xmem: a pool of buffers in shared memory that processes and threads draw from and hand to
 * each other without copying.
 *
 * Generated from zig/abi/c/ by `bun run generate`. Do not edit.
 *
 * Results. Every function that can fail returns 0 or a negative XMEM_... code, and where it
 * fails it changes nothing at the addresses that it was given. What more there is to say of
 * the failure of this thread's last call is in xmem_error_text and xmem_error_errno. Sizes
 * are bytes. Times have their unit in the name.
 *
 * Threads. A pool is used on the thread that opened it: each thread opens it for itself, and
 * is one participant. A call of another thread is XMEM_INVALID_ARGUMENT. No function may be
 * called in a signal handler, or left by longjmp or by a thread's cancellation. Before a
 * thread ends, it closes what it opened (xmem_close): that gives back its holds and its place
 * among the participants at once. Where it ends without that, its pools are closed by
 * themselves, pointers into their memory are invalid, and its holds are given back by the
 * next recovery: that of an acquire that finds the pool full, of a wait, of an open, or of
 * xmem_reclaim. Only pools that it observes (xmem_observe) stay open, and nobody can close
 * them.
 *
 * Processes. What a process holds when it ends, or is killed, is given back in the same way
 * by the others; what it sent is received as before.
 *
 * Fork. In the child every pool that the parent had open, on any thread, says
 * XMEM_POOL_CLOSED to every call; the parent's goes on. The child closes it (on any thread)
 * to unmap its memory, and opens the pool again to take part. It must not use the parent's
 * pointers and handles. After an exec nothing is open.
 *
 * Structs. The caller sets `size` to `sizeof` of a struct as it was compiled with, and a
 * row's size is given beside the rows. A struct may get more fields at its end in a later
 * version: a program that knows fewer gets those that it knows, and for options that it does
 * not know the defaults hold. A program that knows more than the library gets 0 in those
 * fields, and may set none of them. What no version had is XMEM_INVALID_ARGUMENT.
 *
 * The library must not be unloaded (dlclose) before the process ends.
 */
#ifndef XMEM_H
#define XMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** `timeout_ms` of a wait without an end. */
#define XMEM_FOREVER UINT64_MAX

/** `lease_timeout_ms` of in-flight references that never expire. */
#define XMEM_LEASE_NEVER UINT32_MAX

/* The most of each that there can be. */
#define XMEM_LIMIT_CAPACITY 16777214
#define XMEM_LIMIT_PARTICIPANTS 4096
#define XMEM_LIMIT_CHANNELS 1024
#define XMEM_LIMIT_REFERENCES 65535
#define XMEM_LIMIT_NAME_BYTES 200
#define XMEM_LIMIT_TEXT_BYTES 31
#define XMEM_LIMIT_DIMENSIONS 8
#define XMEM_LIMIT_CHANNEL_CAPACITY 65536
#define XMEM_LIMIT_CHANNEL_NAME_BYTES 63
#define XMEM_LIMIT_CHANNEL_SUBSCRIBERS 256
#define XMEM_LIMIT_WAIT_SOURCES 128

/** What a failed call returns. */
enum {
    /** Something has that name already. */
    XMEM_POOL_EXISTS = -1,
    /** Nothing has that name in the folder of pools. */
    XMEM_POOL_NOT_FOUND = -2,
    /** Every buffer is in use. */
    XMEM_POOL_FULL = -3,
    /** Somebody flushes the pool. */
    XMEM_POOL_FLUSHING = -4,
    /** The pool was closed, or was opened before this process was forked. */
    XMEM_POOL_CLOSED = -5,
    /** The object holds what xmem never wrote. */
    XMEM_POOL_CORRUPT = -6,
    /** Another participant is stopped in the middle of a recovery. */
    XMEM_POOL_BUSY = -7,
    /** The object was made by another format version, layout, libc or page size. */
    XMEM_VERSION_MISMATCH = -8,
    /** The pool that exists is smaller than was explicitly asked for. */
    XMEM_OPTIONS_MISMATCH = -9,
    /** The system does not let this user use the object, or its owner is not trusted. */
    XMEM_PERMISSION_DENIED = -10,
    /** Every row of the pool is taken, or this thread has too many pools open. */
    XMEM_TOO_MANY_PARTICIPANTS = -11,
    /** No buffer in use has that index. */
    XMEM_BUFFER_NOT_FOUND = -12,
    /** The buffer still has references. */
    XMEM_BUFFER_IN_USE = -13,
    /** The buffer was recycled since the handle was made, or is of another pool. */
    XMEM_STALE_HANDLE = -14,
    /** The buffer has no reference of the kind that the call uses up. */
    XMEM_NO_REFERENCE = -15,
    /** The buffer has 65535 references already. */
    XMEM_TOO_MANY_REFERENCES = -16,
    /** More bytes were asked for than a buffer of this pool can have. */
    XMEM_TOO_LARGE = -17,
    /** The file system, the process or the bound of committed bytes has no room for it. */
    XMEM_OUT_OF_MEMORY = -18,
    /** There is no room in the channel. */
    XMEM_CHANNEL_FULL = -19,
    /** The channel was closed, and for a receiver nothing is left in it. */
    XMEM_CHANNEL_CLOSED = -20,
    /** Only of TypeScript: something was to be written through a guard that only reads. */
    XMEM_READ_ONLY = -21,
    /**
     * The receiver of a request gave it back without a reply; in TypeScript also: the guard was
     * released before.
     */
    XMEM_RELEASED = -22,
    /** The time of a wait passed before there was a buffer, or room. */
    XMEM_TIMEOUT = -23,
    /** An argument is out of range. */
    XMEM_INVALID_ARGUMENT = -24,
    /** The system lacks what xmem needs. */
    XMEM_UNSUPPORTED_PLATFORM = -25,
    /** A system call failed. */
    XMEM_SYSTEM = -26,
    /** The receiver of a request died, or let go of it without a word. */
    XMEM_PEER_DIED = -27,
    /** Only of TypeScript: a source of frames ended in the middle of one. */
    XMEM_INCOMPLETE = -28,
    /** Only of TypeScript: what was stored is not what comes back. */
    XMEM_DAMAGED = -29,
    XMEM_OK = 0
};

/** What the elements of a buffer are. */
enum {
    XMEM_DTYPE_UINT8 = 0,
    XMEM_DTYPE_INT8 = 1,
    XMEM_DTYPE_UINT16 = 2,
    XMEM_DTYPE_INT16 = 3,
    XMEM_DTYPE_UINT32 = 4,
    XMEM_DTYPE_INT32 = 5,
    XMEM_DTYPE_UINT64 = 6,
    XMEM_DTYPE_INT64 = 7,
    XMEM_DTYPE_FLOAT16 = 8,
    XMEM_DTYPE_FLOAT32 = 9,
    XMEM_DTYPE_FLOAT64 = 10
};

/** To whom a channel hands a buffer. */
enum {
    XMEM_MODE_QUEUE = 1,
    XMEM_MODE_BROADCAST = 2
};

/** What a full channel does. */
enum {
    XMEM_OVERFLOW_BLOCK = 1,
    XMEM_OVERFLOW_DROP_NEWEST = 2,
    XMEM_OVERFLOW_DROP_OLDEST = 3
};

/** Where an event loop waits at a channel. */
enum {
    XMEM_END_SENDING = 1,
    XMEM_END_RECEIVING = 2,
    XMEM_END_CLOSING = 3
};

/**
 * An open pool, like a file descriptor: a number above 0, good in the process and on the thread
 * that opened it, until it is closed. 0 and a stale one are refused.
 */
typedef uint32_t xmem_pool;

/**
 * Names one use of one buffer: the handle of a buffer that was recycled since is refused. It is
 * below 2^53, so that it fits a double. A function that takes a `ref` also takes the buffer's bare
 * index, `xmem_index(handle)`, which names the buffer's present use, whichever that is.
 */
typedef uint64_t xmem_handle;

/**
 * An open channel of an open pool: a number above 0, good for that pool until the channel is left
 * or the pool closed. 0 and a stale one are refused.
 */
typedef uint32_t xmem_channel;

/** The bare index of a handle's buffer: its place in the pool. */
static inline uint32_t xmem_index(xmem_handle handle) {
    return (uint32_t)(handle & 0xffffff);
}

/**
 * How to make or open a pool. Set everything to 0, then `size` to `sizeof(xmem_options)`, then the
 * fields that shall differ from their default, which is 0.
 */
typedef struct xmem_options {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** Buffers, 1 to 2^24 - 2; default 1024. */
    uint32_t capacity;
    /** The most bytes that one buffer can have; default 1 MiB, virtual until used. */
    uint32_t buffer_size;
    /** Threads that may have the pool open at once, 1 to 4096; default 64. */
    uint32_t max_participants;
    /**
     * Milliseconds that an in-flight reference lives; default 30000; XMEM_LEASE_NEVER: it never
     * expires.
     */
    uint32_t lease_timeout_ms;
    /** Bytes of data that may be committed at once; default: capacity times buffer size. */
    uint64_t max_committed_bytes;
    /** How many channels the pool has room for, at most 1024; default 16. */
    uint32_t channels;
    /** Permission bits, whatever the umask; default 0600, at most 0777. */
    uint32_t mode;
    /** Not 0: a buffer's bytes are zeroed when it is recycled. */
    uint32_t zero_on_release;
    /** Not 0: the last participant that leaves removes the name. */
    uint32_t ephemeral;
    /** Not 0: `xmem_open_or_create` replaces a pool that has no live participant. */
    uint32_t replace_abandoned;
    /** A user whose pools are trusted, besides those of this user and of root. */
    uint32_t allow_owner;
    /** A group whose pools are trusted; one that is made belongs to it, by default with mode 0660. */
    uint32_t allow_group;
    /**
     * So many buffers that this thread gave back are kept for its own next acquires, at most 512, and
     * go to others only where the pool has no more. Default 0.
     */
    uint32_t local_cache;
    /** What `xmem_participants` shows for this thread, at most 31 bytes; NULL: nothing. */
    const char *participant_name;
} xmem_options;

/** What a pool was made with. The caller sets `size`. */
typedef struct xmem_pool_info {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** Buffers. */
    uint32_t capacity;
    /** The most bytes that one buffer can have. */
    uint32_t buffer_size;
    /** Threads that may have the pool open at once. */
    uint32_t max_participants;
    /** Milliseconds that an in-flight reference lives; XMEM_LEASE_NEVER: it never expires. */
    uint32_t lease_timeout_ms;
    /** Bytes of data that may be committed at once. */
    uint64_t max_committed_bytes;
    /** Bytes of the object: address space, not memory. */
    uint64_t total_bytes;
    /** When it was made, in milliseconds since 1970. */
    uint64_t created_at_ms;
    /** How many channels it has room for. */
    uint32_t channels;
    /** Permission bits. */
    uint32_t mode;
    /** The user that owns it. */
    uint32_t owner;
    /** 1: a buffer's bytes are zeroed when it is recycled. */
    uint32_t zero_on_release;
    /** 1: the last participant that leaves removes the name. */
    uint32_t ephemeral;
    /** The group that owns it. */
    uint32_t group;
} xmem_pool_info;

/**
 * What goes on in a pool. In a busy one each number is true of some moment, not all of the same.
 * The caller sets `size`.
 */
typedef struct xmem_pool_stats {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** Buffers: `free` and `used` ones. */
    uint64_t capacity;
    /** Buffers that nobody uses. */
    uint64_t free;
    /** Buffers that are in use, including parked ones. */
    uint64_t used;
    /** Buffers that were counted to 0 by hand and not recycled yet. */
    uint64_t parked;
    /** References that are on their way between participants. */
    uint64_t in_flight;
    /** Participants that wait for a buffer. */
    uint64_t waiters;
    /** Bytes of data that have memory, without the control area. */
    uint64_t committed_bytes;
    /** 1: somebody flushes the pool. */
    uint64_t flushing;
    /** 1: the name still leads to this pool. */
    uint64_t linked;
    /** Milliseconds since the oldest lease that has not ended began. */
    uint64_t oldest_lease_ms;
    /** Milliseconds since the buffer was acquired that has been held for longest. */
    uint64_t longest_hold_ms;
    /** Participants that live. */
    uint64_t alive;
    /** Buffers acquired since the pool was made. */
    uint64_t acquired;
    /** Buffers released since the pool was made. */
    uint64_t released;
    /** Acquires that found the pool full and did not wait. */
    uint64_t full;
    /** Waits that began. */
    uint64_t waits;
    /** Waits that ended without a buffer. */
    uint64_t timeouts;
    /** Recoveries that ran. */
    uint64_t recoveries;
    /** Recoveries that were put off because a participant stood still inside an operation. */
    uint64_t deferred;
    /** Acquires that failed for want of memory. */
    uint64_t out_of_memory;
    /** Dead participants whose rows recoveries emptied. */
    uint64_t recovered_participants;
    /** Holds of the dead and references with expired leases that recoveries dropped. */
    uint64_t recovered_references;
    /** Buffers that recoveries gave back. */
    uint64_t recovered_buffers;
    /** Of those references, the ones with expired leases. */
    uint64_t expired_references;
    /** Bytes of memory that buffers got since the pool was made. */
    uint64_t bytes_committed;
    /** Bytes of memory that buffers lost again, by `xmem_trim` or since another buffer needed it. */
    uint64_t bytes_given_back;
} xmem_pool_stats;

/** A thread that has the pool open, or had when it died. */
typedef struct xmem_participant {
    /** The number of its row. */
    uint64_t row;
    /** Its process's id, as that process knows it. */
    uint64_t pid;
    /** Its thread's id, as that process knows it. */
    uint64_t tid;
    /** 0: it is dead, and what it held is not given back yet. */
    uint64_t alive;
    /** References that it owns. */
    uint64_t holds;
    /** 1: it waits for a buffer. */
    uint64_t waiting;
    /** When its process started, in clock ticks since boot; 0 where that is unknown. */
    uint64_t started;
    /** Buffers that it acquired. */
    uint64_t acquired;
    /** Buffers that it released. */
    uint64_t released;
    /** Its waits. */
    uint64_t waits;
    /** Its waits that ended without a buffer. */
    uint64_t timeouts;
    /** The name that it gave itself, ended by a 0. */
    char name[32];
} xmem_participant;

/** What a buffer's bytes mean. Each acquire resets it. The caller sets `size`. */
typedef struct xmem_description {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** One of XMEM_DTYPE_UINT8 ...; default XMEM_DTYPE_UINT8. */
    uint32_t dtype;
    /** How many numbers of `shape` are used; default 1. */
    uint32_t shape_count;
    /** Elements per dimension; default: one dimension of as many as the buffer has bytes. */
    uint64_t shape[8];
    /** How many numbers of `strides` are used. */
    uint32_t stride_count;
    /** Always 0. */
    uint32_t reserved;
    /**
     * Bytes from one element to the next, per dimension. Strides that are the contiguous ones
     * change with shape and dtype.
     */
    int64_t strides[8];
    /** The producer decides its unit; default 0. */
    uint64_t timestamp;
    /** Default 0. */
    uint64_t sequence;
    /** UTF-8, ended by a 0; default empty. */
    char content_type[32];
    /** UTF-8, ended by a 0; default empty. */
    char producer[32];
} xmem_description;

/**
 * What a channel is to be, and what this open of it does. Set everything to 0, then `size` to
 * `sizeof(xmem_channel_options)`, then the fields that shall differ from their default, which is
 * 0. A channel that exists has to be as the fields say that are not 0.
 */
typedef struct xmem_channel_options {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** How many buffers can be queued, 1 to 65536; default 16. One that exists may have more. */
    uint32_t capacity;
    /**
     * XMEM_MODE_QUEUE, the default: each buffer goes to one receiver. XMEM_MODE_BROADCAST: to
     * every subscriber.
     */
    uint32_t mode;
    /**
     * What `xmem_send` does where the channel is full. XMEM_OVERFLOW_BLOCK, the default: it
     * refuses the buffer. XMEM_OVERFLOW_DROP_NEWEST: it drops the buffer.
     * XMEM_OVERFLOW_DROP_OLDEST: it drops the one that has been queued for longest.
     */
    uint32_t overflow;
    /**
     * Of a broadcast, how many of the newest buffers stay for subscribers that come late; below
     * `capacity`.
     */
    uint32_t history;
    /** Not 0: this open does not receive, and does not subscribe to a broadcast. */
    uint32_t sends_only;
    /**
     * Of a queue: not 0: what a receiver holds when it dies goes back to the channel, ahead of
     * newer buffers. Its release, by `xmem_release` say, ends that.
     */
    uint32_t redeliver;
    /** How often a buffer is received at most, where `redeliver` is not 0; default 5. */
    uint32_t max_deliveries;
    /** Always 0. */
    uint32_t reserved;
    /**
     * The name of the channel to which a buffer goes that was received so often. NULL, or where
     * there is no such queue just then: it is recycled, and counted as dropped.
     */
    const char *dead_letter;
} xmem_channel_options;

/** What a channel was made as. The caller sets `size`. */
typedef struct xmem_channel_info {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** How many buffers can be queued. */
    uint32_t capacity;
    /** XMEM_MODE_QUEUE or XMEM_MODE_BROADCAST. */
    uint32_t mode;
    /** One of XMEM_OVERFLOW_BLOCK ... */
    uint32_t overflow;
    /** Of a broadcast, how many of the newest buffers stay for subscribers that come late. */
    uint32_t history;
    /** 1: what a receiver holds when it dies comes back. */
    uint32_t redeliver;
    /** How often a buffer is received at most; 0 where nothing comes back. */
    uint32_t max_deliveries;
} xmem_channel_info;

/**
 * What goes on in a channel. In a busy one each number is true of some moment, not all of the
 * same. The caller sets `size`.
 */
typedef struct xmem_channel_stats {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** Its number in the pool, as `xmem_subscribers` takes it. */
    uint64_t number;
    /** XMEM_MODE_QUEUE or XMEM_MODE_BROADCAST. */
    uint64_t mode;
    /** One of XMEM_OVERFLOW_BLOCK ... */
    uint64_t overflow;
    /** How many buffers can be queued. */
    uint64_t capacity;
    /** Of a broadcast, how many of the newest buffers stay for subscribers that come late. */
    uint64_t history;
    /** 1: what a receiver holds when it dies comes back. */
    uint64_t redeliver;
    /** How often a buffer is received at most; 0 where nothing comes back. */
    uint64_t max_deliveries;
    /** 1: somebody closed it. */
    uint64_t closed;
    /** Participants that have it open. */
    uint64_t open_by;
    /** Buffers that are in it. */
    uint64_t queued;
    /** Buffers that were sent since it was made. */
    uint64_t sent;
    /** Buffers that were received; of a broadcast the sum over all subscribers. */
    uint64_t received;
    /** Buffers that were dropped because it was full, or because they had been received too often. */
    uint64_t dropped;
    /** Buffers that came back after their receivers died. */
    uint64_t redelivered;
    /** Participants that wait for room. */
    uint64_t waiting_senders;
    /** Participants that wait for a buffer. */
    uint64_t waiting_receivers;
    /** Opens that subscribe to a broadcast. */
    uint64_t subscribers;
    /** Its name, ended by a 0. */
    char name[64];
} xmem_channel_stats;

/** An open that subscribes to a broadcast. */
typedef struct xmem_subscriber {
    /** Its process's id, as that process knows it. */
    uint64_t pid;
    /** Its thread's id, as that process knows it. */
    uint64_t tid;
    /** 0: its participant is dead. */
    uint64_t alive;
    /** Buffers in the channel that it has still to receive. */
    uint64_t lag;
    /** Buffers that it received. */
    uint64_t received;
    /** Buffers that were dropped before it received them. */
    uint64_t missed;
} xmem_subscriber;

/** Where `xmem_wait_any` waits. */
typedef struct xmem_source {
    /** An open pool. */
    xmem_pool pool;
    /** An open channel of the pool that receives; 0: the wait is for a free buffer of the pool. */
    xmem_channel channel;
} xmem_source;

/** The name of a pool. */
typedef struct xmem_pool_name {
    /** Ended by a 0. */
    char name[208];
} xmem_pool_name;

/** What a recovery gave back. The caller sets `size`. */
typedef struct xmem_reclaim_report {
    /** Bytes of this struct, as the caller was compiled with it. */
    size_t size;
    /** Dead participants whose rows were emptied. */
    uint32_t participants;
    /** Holds and expired in-flight references that were dropped. */
    uint32_t references;
    /** Buffers that became free. */
    uint32_t buffers;
    /** 1: a live participant stands still inside an operation; a later recovery finishes the job. */
    uint32_t deferred;
} xmem_reclaim_report;

/**
 * Makes a pool and opens it.
 *
 * @param name 1 to 200 letters, digits, '.', '_' or '-'. The pool is the file `xmem.<name>` in /dev/shm,
 *     or in the folder that the environment's XMEM_DIR names.
 * @param options NULL: all defaults.
 * @param pool Gets the open pool.
 *
 * @return 0, or
 *     XMEM_POOL_EXISTS: something has that name; a pool, or what is left of one. XMEM_OUT_OF_MEMORY:
 *     the control area does not fit into the file system, or the pool into the address space.
 *     XMEM_INVALID_ARGUMENT: the name is not allowed, an option is out of range, or `size` is wrong.
 *     XMEM_PERMISSION_DENIED: this user may not make files there. XMEM_TOO_MANY_PARTICIPANTS: this
 *     thread has some 2000 pools open, or this process some 16000. XMEM_UNSUPPORTED_PLATFORM: the
 *     system has no robust mutexes. XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
 */
int32_t xmem_create(const char *name, const xmem_options *options, xmem_pool *pool);

/**
 * Opens a pool. A thread that opens it twice is one participant, with two descriptors.
 *
 * @param name As in `xmem_create`.
 * @param options NULL: all defaults. Only `participant_name`, `allow_owner`, `allow_group` and `local_cache`
 *     matter.
 * @param pool Gets the open pool.
 *
 * @return 0, or
 *     XMEM_POOL_NOT_FOUND: there is no pool of that name. XMEM_POOL_CORRUPT: the file of that name is
 *     no pool, or a damaged one. XMEM_VERSION_MISMATCH: it was made by another version, or by a
 *     process of another libc. XMEM_PERMISSION_DENIED: this user may not read and write it, or its
 *     owner is not trusted. XMEM_TOO_MANY_PARTICIPANTS: every row is taken by a live participant.
 *     XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery. XMEM_OUT_OF_MEMORY:
 *     there is no memory for this participant's row. XMEM_INVALID_ARGUMENT, XMEM_UNSUPPORTED_PLATFORM,
 *     XMEM_SYSTEM: as in `xmem_create`.
 */
int32_t xmem_open(const char *name, const xmem_options *options, xmem_pool *pool);

/**
 * Opens the pool of that name, or makes it. However many do so at once, they get the same one.
 *
 * @param name As in `xmem_create`.
 * @param options NULL: all defaults.
 * @param pool Gets the open pool.
 *
 * @return 0, or
 *     XMEM_OPTIONS_MISMATCH: the pool that exists has a smaller capacity or buffer size than was asked
 *     for explicitly.
 *     Otherwise as `xmem_open` and `xmem_create`, without XMEM_POOL_EXISTS and
 *     XMEM_POOL_NOT_FOUND.
 */
int32_t xmem_open_or_create(const char *name, const xmem_options *options, xmem_pool *pool);

/**
 * Gives back the holds of this descriptor, leaves its channels, and with the thread's last
 * descriptor of the pool gives back its row. Pointers into the pool's memory are invalid
 * afterwards, unless the process has it open still.
 *
 * @param pool The open pool.
 *
 * @return 0, or
 *     XMEM_POOL_CLOSED: it is closed already.
 *     XMEM_INVALID_ARGUMENT: another thread opened it.
 */
int32_t xmem_close(xmem_pool pool);

/**
 * Removes a name, whatever it leads to: a pool, or what is left of one. Participants that have the
 * pool open can go on using it.
 *
 * @param name As in `xmem_create`.
 *
 * @return 0, or
 *     XMEM_POOL_NOT_FOUND: there is no such name. XMEM_INVALID_ARGUMENT: no pool can have that name.
 *     XMEM_PERMISSION_DENIED: this user may not remove it. XMEM_POOL_BUSY: another process that
 *     removes it is stopped. XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
 */
int32_t xmem_unlink(const char *name);

/**
 * Removes the name of an open pool, unless it leads to another one by now.
 *
 * @param pool The open pool.
 *
 * @return 0, or
 *     XMEM_POOL_NOT_FOUND: the name leads nowhere, or to another pool.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it.
 *     XMEM_PERMISSION_DENIED, XMEM_POOL_BUSY, XMEM_SYSTEM: as in `xmem_unlink`.
 */
int32_t xmem_unlink_pool(xmem_pool pool);

/**
 * What the pool was made with.
 *
 * @param pool The open pool.
 * @param info Gets everything. Set its `size` before.
 *
 * @return 0, or
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
 */
int32_t xmem_info(xmem_pool pool, xmem_pool_info *info);

/**
 * The names of the pools that there are, of any user, in no order. What has a pool's name and is
 * none is listed, too: `xmem_observe` says what is wrong with it.
 *
 * @param rows Gets the names; may be NULL where `rows_max` is 0.
 * @param row_size `sizeof(xmem_pool_name)`.
 * @param rows_max For how many `rows` has room.
 * @param count Gets how many there are, which may be more than there is room for.
 *
 * @return 0, or
 *     XMEM_PERMISSION_DENIED: this user may not read the folder.
 *     XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
 *     XMEM_INVALID_ARGUMENT: `row_size` is wrong, or an address is NULL.
 */
int32_t xmem_list(xmem_pool_name *rows, size_t row_size, uint32_t rows_max, uint32_t *count);

/**
 * Removes a name, if it leads to a pool of this user's that no live participant has open. With the
 * names of `xmem_list` it prunes the folder.
 *
 * @param name As in `xmem_create`.
 * @param dry_run Not 0: only looks, and removes nothing.
 * @param pruned Gets 1 where the name was removed, or would have been; 0 where the pool is in use, or
 *     another user's.
 *
 * @return 0, or
 *     XMEM_POOL_NOT_FOUND: there is no such name.
 *     XMEM_POOL_CORRUPT: the file of that name is no pool, or a damaged one.
 *     XMEM_VERSION_MISMATCH: the pool was made by another version, or by a process of another libc.
 *     XMEM_PERMISSION_DENIED: this user may not use it, or its owner is not trusted.
 *     XMEM_POOL_BUSY: somebody opens it, or removes its name, just now.
 *     XMEM_OUT_OF_MEMORY: the pool does not fit into the address space.
 *     XMEM_INVALID_ARGUMENT: no pool can have that name, or `pruned` is NULL.
 *     XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
 */
int32_t xmem_prune(const char *name, uint32_t dry_run, uint32_t *pruned);

/**
 * Looks at a pool without taking part: it takes no row, starts no recovery and writes nothing.
 * `xmem_info`, `xmem_stats`, `xmem_participants`, `xmem_channels`, `xmem_subscribers` and
 * `xmem_close` work on it; to every other call it is closed. The end of its thread does not close
 * it. Root may look at everybody's pools.
 *
 * @param name As in `xmem_create`.
 * @param options NULL: all defaults. Only `allow_owner` and `allow_group` matter.
 * @param pool Gets the observed pool.
 *
 * @return 0, or
 *     XMEM_TOO_MANY_PARTICIPANTS: this process has some 16000 pools open. XMEM_OUT_OF_MEMORY: the pool
 *     does not fit into the address space. XMEM_POOL_NOT_FOUND, XMEM_POOL_CORRUPT,
 *     XMEM_VERSION_MISMATCH, XMEM_PERMISSION_DENIED, XMEM_INVALID_ARGUMENT, XMEM_SYSTEM: as in
 *     `xmem_open`.
 */
int32_t xmem_observe(const char *name, const xmem_options *options, xmem_pool *pool);

/**
 * A hold of a free buffer, at once. Its content is what its last user left, unless the pool
 * zeroes.
 *
 * @param pool The open pool.
 * @param size Bytes, 0 to the pool's buffer size.
 * @param handle Gets the buffer's handle.
 *
 * @return 0, or
 *     XMEM_POOL_FULL: every buffer is in use. Nothing else has happened: this is the call that tries.
 *     XMEM_TOO_LARGE: no buffer of this pool is that large.
 *     XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for the buffer's bytes.
 *     XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
 *     XMEM_POOL_FLUSHING: somebody flushes the pool.
 *     XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
 *     XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
 *     XMEM_POOL_CLOSED: the pool is not open here: closed, or opened before a fork.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is NULL.
 */
int32_t xmem_acquire(xmem_pool pool, uint32_t size, xmem_handle *handle);

/**
 * The same, but it waits for a buffer, and for memory that others use up to `max_committed_bytes`.
 * A signal handler runs, and the wait goes on.
 *
 * @param pool The open pool.
 * @param size Bytes, 0 to the pool's buffer size.
 * @param timeout_ms Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
 * @param handle Gets the buffer's handle.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: the time passed without a buffer, or without memory for one.
 *     XMEM_POOL_FLUSHING: somebody flushes the pool, or began to while this thread waited.
 *     XMEM_OUT_OF_MEMORY: `size` alone is above `max_committed_bytes`, or the file system has no room.
 *     Otherwise as `xmem_acquire`, without XMEM_POOL_FULL and XMEM_POOL_BUSY: it waits for a
 *     participant that is stopped in the middle of a recovery, too.
 */
int32_t xmem_acquire_timed(xmem_pool pool, uint32_t size, uint64_t timeout_ms, xmem_handle *handle);

/**
 * Gives a hold back. With the last reference the buffer is recycled, and a waiter gets it.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold: given back already, or handed off.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
 */
int32_t xmem_release(xmem_pool pool, xmem_handle handle);

/**
 * Where a held buffer's bytes are in this process, and how many. They stay there for as long as
 * the buffer is held. Several holders may read and write at once: who does when is theirs to
 * arrange.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param data Gets the address, aligned to a page; NULL: not wanted.
 * @param size Gets the bytes that it has; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
 */
int32_t xmem_data(xmem_pool pool, xmem_handle handle, void **data, size_t *size);

/**
 * Makes a held buffer smaller, for all its holders and for whoever gets it next.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param size Bytes, 0 to what the buffer has.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_INVALID_ARGUMENT: `size` is more than the buffer has; or another thread opened the pool.
 *     XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
 *     XMEM_POOL_CLOSED: the pool is not open.
 */
int32_t xmem_truncate(xmem_pool pool, xmem_handle handle, uint32_t size);

/**
 * Maps a held buffer once more, at an address of its own: a window. It stays until
 * `xmem_window_close`, on whatever thread, also when the hold was given back and the pool closed:
 * for languages whose views of memory cannot be kept from outliving a hold. Make one for each
 * buffer and keep it: it costs two calls of the system. The next use of the same buffer has it in
 * the same window.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param data Gets the address, aligned to a page.
 * @param length Gets the bytes of the window: the most that the buffer can ever have, in whole pages.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_OUT_OF_MEMORY: there is no address space, or the process has too many mappings.
 *     XMEM_SYSTEM: the system refused it; see `xmem_error_errno`.
 *     XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_data`.
 */
int32_t xmem_window_open(xmem_pool pool, xmem_handle handle, void **data, size_t *length);

/**
 * Takes a window away from those who still look through it: its addresses read as zeros from now
 * on, and what is written there is seen by nobody else. They stay until `xmem_window_close`.
 *
 * @param data Of a window.
 * @param length Of the same window.
 * @param moved Gets the address at which the buffer has a window of that length now; NULL: it has none,
 *     since the system cannot move it (Linux before 5.13, macOS).
 *
 * @return 0, or
 *     XMEM_OUT_OF_MEMORY: the process has too many mappings. The window is as it was.
 *     XMEM_SYSTEM: the system refused it; see `xmem_error_errno`. The window is as it was.
 *     XMEM_INVALID_ARGUMENT: `moved` is NULL.
 */
int32_t xmem_window_detach(void *data, size_t length, void **moved);

/**
 * Unmaps a window. Its addresses are good for nothing afterwards.
 *
 * @param data Of a window.
 * @param length Of the same window.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: there can be no window of that address and length.
 */
int32_t xmem_window_close(void *data, size_t length);

/**
 * One more hold of a buffer in use.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param handle Gets the buffer's handle; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
 *     XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
 *     XMEM_NO_REFERENCE: the buffer was counted to 0 by hand.
 *     XMEM_TOO_MANY_REFERENCES: it has 65535 already.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
 */
int32_t xmem_get(xmem_pool pool, uint64_t ref, xmem_handle *handle);

/**
 * Adopts an in-flight reference: somebody handed the buffer off, and it is this thread's now.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param handle Gets the buffer's handle; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: the buffer was recycled since; its lease may have passed.
 *     XMEM_NO_REFERENCE: no reference is in flight; somebody else may have taken it.
 *     XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
 */
int32_t xmem_take(xmem_pool pool, uint64_t ref, xmem_handle *handle);

/**
 * Makes an in-flight reference of a held buffer: send its handle to whoever is to take it. The
 * hold stays. The reference lives for the pool's lease timeout.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_TOO_MANY_REFERENCES: the buffer has 65535 already.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
 */
int32_t xmem_share(xmem_pool pool, xmem_handle handle);

/**
 * Turns a hold into an in-flight reference: send the handle to whoever is to take it. The buffer
 * is no longer this thread's. The reference lives for the pool's lease timeout.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
 */
int32_t xmem_hand_off(xmem_pool pool, xmem_handle handle);

/**
 * Counts a buffer up by hand: one more in-flight reference, of a buffer that need not be held.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param count Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
 *     XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
 *     XMEM_TOO_MANY_REFERENCES: it has 65535 already.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
 */
int32_t xmem_add_ref(xmem_pool pool, uint64_t ref, uint32_t *count);

/**
 * Counts a buffer down by hand: one in-flight reference fewer. At 0 the buffer is recycled.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param count Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_NO_REFERENCE: none is in flight.
 *     Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
 */
int32_t xmem_unref(xmem_pool pool, uint64_t ref, uint32_t *count);

/**
 * As `xmem_unref`, but at 0 the buffer is not recycled: it is parked until
 * `xmem_try_release`, or until its lease passes. You almost certainly want `xmem_unref`.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param count Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_NO_REFERENCE: none is in flight.
 *     Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
 */
int32_t xmem_release_by_hand(xmem_pool pool, uint64_t ref, uint32_t *count);

/**
 * Sets a buffer's whole count, by more or fewer in-flight references.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param count The whole count, holds and in-flight references.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: `count` is below the buffer's holds or above 65535; or another thread
 *     opened the pool, or `ref` is out of range.
 *     Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
 */
int32_t xmem_set_ref_count(xmem_pool pool, uint64_t ref, uint32_t count);

/**
 * A buffer's whole count, holds and in-flight references. That of a free buffer's index is 0.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param count Gets the count.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
 *     XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
 *     XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
 */
int32_t xmem_ref_count(xmem_pool pool, uint64_t ref, uint32_t *count);

/**
 * Recycles a buffer that was counted to 0 by hand. Exactly one of those that try succeeds.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 * @param recycled Gets 1 where this call recycled it, 0 where somebody still counts it or it is free already;
 *     NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
 *     XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
 */
int32_t xmem_try_release(xmem_pool pool, uint64_t ref, uint32_t *recycled);

/**
 * The same, for callers to whom it is an error when the buffer is not recycled.
 *
 * @param pool The open pool.
 * @param ref A handle, or a bare index.
 *
 * @return 0, or
 *     XMEM_BUFFER_IN_USE: somebody still counts it.
 *     XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
 *     Otherwise as `xmem_try_release`.
 */
int32_t xmem_release_buffer(xmem_pool pool, uint64_t ref);

/**
 * Opens the channel of that name, or makes it. A channel hands buffers of the pool on, in order: a
 * buffer in it is in use, has no lease, and belongs to nobody until it is received. Each open of a
 * broadcast that receives is a subscriber of its own.
 *
 * @param pool The open pool.
 * @param name 1 to 63 bytes of UTF-8.
 * @param options NULL: all defaults.
 * @param channel Gets the open channel.
 *
 * @return 0, or
 *     XMEM_OPTIONS_MISMATCH: the channel that exists has a smaller capacity than was asked for, or
 *     another mode, overflow or history, or redelivers otherwise.
 *     XMEM_OUT_OF_MEMORY: the pool has as many channels as it has room for, this open of it has 65536
 *     open, or there is no memory for it.
 *     XMEM_TOO_MANY_PARTICIPANTS: the broadcast has 256 subscribers.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_SYSTEM: the system refused to commit memory; see `xmem_error_errno`.
 *     XMEM_INVALID_ARGUMENT: the name has not 1 to 63 bytes, an option is out of range, or `size` is
 *     wrong; or another thread opened the pool.
 */
int32_t xmem_channel_open(xmem_pool pool, const char *name, const xmem_channel_options *options, xmem_channel *channel);

/**
 * Lets go of a channel. It goes on for the others, with what is in it. Closing the pool does the
 * same.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: it is not open: left already, or of another open of a pool.
 *     XMEM_POOL_CLOSED: the pool is not open here: closed, or opened before a fork.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_channel_leave(xmem_pool pool, xmem_channel channel);

/**
 * Closes a channel, for everybody: nothing is sent from now on. What is in it is still received.
 * It has to be left as well. A recovery removes a closed channel that nobody has open, and what
 * is in it.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: it is not open here. That somebody closed it before is no error.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_channel_close(xmem_pool pool, xmem_channel channel);

/**
 * What a channel was made as.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param info Gets everything. Set its `size` before.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: it is not open here.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
 */
int32_t xmem_get_channel_info(xmem_pool pool, xmem_channel channel, xmem_channel_info *info);

/**
 * Sends a buffer: the hold goes into the channel, and the buffer is no longer this thread's. Never
 * waits for room: where the channel is full, its overflow says what happens.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 * @param dropped Gets 1 where the buffer was dropped, which gives it back, 0 where it was sent; NULL: not
 *     wanted.
 *
 * @return 0, or
 *     XMEM_CHANNEL_FULL: its overflow is XMEM_OVERFLOW_BLOCK, and it is full. The hold stays, as with
 *     every error.
 *     XMEM_BUFFER_IN_USE: the channel redelivers, and the buffer is in such a channel, or somebody
 *     received it from one.
 *     XMEM_CHANNEL_CLOSED: somebody closed it, or it is not open here.
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
 */
int32_t xmem_send(xmem_pool pool, xmem_channel channel, xmem_handle handle, uint32_t *dropped);

/**
 * The same, but it drops nothing.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 *
 * @return 0, or
 *     XMEM_CHANNEL_FULL: there is no room, whatever the overflow. The hold stays.
 *     Otherwise as `xmem_send`.
 */
int32_t xmem_try_send(xmem_pool pool, xmem_channel channel, xmem_handle handle);

/**
 * The same, but it waits for room, whatever the overflow. A signal handler runs, and the wait goes
 * on.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 * @param timeout_ms Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: the time passed without room. The hold stays.
 *     XMEM_CHANNEL_CLOSED: somebody closed it, before or while this thread waited, or it is not open
 *     here.
 *     Otherwise as `xmem_send`, without XMEM_CHANNEL_FULL and XMEM_POOL_BUSY.
 */
int32_t xmem_send_timed(xmem_pool pool, xmem_channel channel, xmem_handle handle, uint64_t timeout_ms);

/**
 * A hold of the buffer that comes next, at once. The subscribers of a broadcast get the same
 * buffer: they only read it.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Gets the buffer's handle; 0: nothing is there.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: somebody closed it, and nothing is left in it; or it is not open here.
 *     XMEM_TOO_MANY_REFERENCES: the buffer has 65535 already.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: it was opened to send only, another thread opened the pool, or `handle`
 *     is NULL.
 */
int32_t xmem_receive(xmem_pool pool, xmem_channel channel, xmem_handle *handle);

/**
 * The same, but it waits for a buffer. A signal handler runs, and the wait goes on.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param timeout_ms Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
 * @param handle Gets the buffer's handle.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: the time passed, and nothing was sent.
 *     XMEM_CHANNEL_CLOSED: somebody closed it, before or while this thread waited, and nothing is left
 *     in it; or it is not open here.
 *     Otherwise as `xmem_receive`, without XMEM_POOL_BUSY.
 */
int32_t xmem_receive_timed(xmem_pool pool, xmem_channel channel, uint64_t timeout_ms, xmem_handle *handle);

/**
 * How often a buffer that is held was received, this time included, where it came from a channel
 * that redelivers; else 0.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param deliveries Gets the number.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, `handle` is out of range, or `deliveries` is
 *     NULL.
 */
int32_t xmem_deliveries(xmem_pool pool, xmem_handle handle, uint32_t *deliveries);

/**
 * Waits until one of several channels and pools has something, and takes nothing: `xmem_receive`
 * or `xmem_acquire` is worth a try then, and gets nothing where somebody else was faster. Of
 * several that have something it is the first. A signal handler runs, and the wait goes on.
 *
 * @param sources As many as `count` says.
 * @param count 1 to XMEM_LIMIT_WAIT_SOURCES.
 * @param timeout_ms Milliseconds to wait at most. 0: looks once. XMEM_FOREVER: no limit.
 * @param place Gets the place in `sources` of the one that has something.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: the time passed, and nothing came anywhere.
 *     XMEM_CHANNEL_CLOSED: one of the channels is not open. One that somebody closed is worth a try.
 *     XMEM_POOL_CLOSED: one of the pools is not open.
 *     XMEM_INVALID_ARGUMENT: `count` is 0 or above XMEM_LIMIT_WAIT_SOURCES, one of the channels was
 *     opened to send only, another thread opened one of the pools, or an address is NULL.
 *     XMEM_POOL_CORRUPT: the control area of a pool holds what xmem never wrote.
 */
int32_t xmem_wait_any(const xmem_source *sources, uint32_t count, uint64_t timeout_ms, uint32_t *place);

/**
 * Sends a buffer as a request, and waits for the reply to just this one, from C or from another
 * language. A signal handler runs, and the wait goes on. The first request of a descriptor takes a
 * channel of the pool for its replies, until the descriptor is closed.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 * @param timeout_ms Milliseconds to wait at most, for room and for the reply. XMEM_FOREVER: no limit.
 * @param reply Gets the handle of the reply, which this descriptor holds.
 *
 * @return 0, or
 *     XMEM_CHANNEL_FULL: the time passed without room in the channel. The hold stays.
 *     XMEM_TIMEOUT: the time passed without a reply. The request is sent, and the buffer no longer
 *     this thread's; a reply that comes later goes back to the pool with this descriptor's next
 *     request, or where it finds the pool full.
 *     XMEM_RELEASED: the receiver gave the request back without a reply.
 *     XMEM_PEER_DIED: the receiver died, or let go of the request without a word; it is noticed within
 *     a tenth of a second. Where the channel redelivers, another one receives it, and the wait goes on.
 *     XMEM_CHANNEL_CLOSED: somebody closed the channel before there was room, or it is not open here.
 *     The hold stays.
 *     XMEM_BUFFER_IN_USE: as in `xmem_send`. The hold stays.
 *     XMEM_OUT_OF_MEMORY: the pool has no room for the channel of replies. The hold stays.
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_SYSTEM: the system refused to commit memory for the channel of replies; see
 *     `xmem_error_errno`. The hold stays.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`. Of a corrupt pool
 *     nothing is promised about the hold.
 *     XMEM_INVALID_ARGUMENT: the channel is a broadcast, another thread opened the pool, `handle` is
 *     out of range, or `reply` is NULL. The hold stays.
 */
int32_t xmem_request(xmem_pool pool, xmem_channel channel, xmem_handle handle, uint64_t timeout_ms, xmem_handle *reply);

/**
 * Whether a buffer that was received is a request, whose sender waits for a reply.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param number Gets the number that its asker gave the request, from 1 on; 0: the buffer is none.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_CORRUPT: the description is damaged.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, `handle` is out of range, or `number` is NULL.
 */
int32_t xmem_request_number(xmem_pool pool, xmem_handle handle, uint64_t *number);

/**
 * Sends a buffer to the asker of a request as its reply. Neither buffer is this thread's any more:
 * the reply is the asker's, and the request is given back. Where the asker is gone, or waits no
 * more, the reply goes back to the pool, which is no error.
 *
 * @param pool The open pool.
 * @param request Of a request that this descriptor received.
 * @param reply Of a buffer that this descriptor holds. It may be the request itself.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: `request` is no request; another thread opened the pool; or a handle is
 *     out of range. Both holds stay, as with every error.
 *     XMEM_CHANNEL_FULL: the asker has 1024 replies that it did not receive.
 *     XMEM_STALE_HANDLE: this descriptor has no such hold of one of them: a request that was answered
 *     is none.
 *     XMEM_OUT_OF_MEMORY: there is no memory for the way back.
 *     XMEM_SYSTEM: the system refused memory for it; see `xmem_error_errno`.
 *     XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 */
int32_t xmem_reply(xmem_pool pool, xmem_handle request, xmem_handle reply);

/**
 * Gives a received request back without a reply. The wait of its asker ends with XMEM_RELEASED. A
 * buffer that is no request is given back as by `xmem_release`.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
 */
int32_t xmem_refuse(xmem_pool pool, xmem_handle handle);

/**
 * The time now, by the clock of `deadline_ns`.
 */
uint64_t xmem_now_ns(void);

/**
 * One slice of an `xmem_acquire_timed`, for languages that run signal handlers of their own
 * between two calls. Call it again where it brought nothing; an end without that is
 * `xmem_wait_end`.
 *
 * @param pool The open pool.
 * @param size Bytes, 0 to the pool's buffer size.
 * @param deadline_ns When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
 * @param handle Gets the buffer's handle; 0: the slice ended, or a signal handler ran.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: as in `xmem_acquire_timed`. With this and every other error the wait is over.
 *     Otherwise as `xmem_acquire_timed`.
 */
int32_t xmem_acquire_slice(xmem_pool pool, uint32_t size, uint64_t deadline_ns, xmem_handle *handle);

/**
 * One slice of an `xmem_send_timed`, likewise.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 * @param deadline_ns When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
 * @param sent Gets 1 where the buffer was sent; 0: the slice ended, or a signal handler ran.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: as in `xmem_send_timed`. With this and every other error the wait is over, and the
 *     hold stays.
 *     Otherwise as `xmem_send_timed`.
 */
int32_t xmem_send_slice(xmem_pool pool, xmem_channel channel, xmem_handle handle, uint64_t deadline_ns, uint32_t *sent);

/**
 * One slice of an `xmem_receive_timed`, likewise.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param deadline_ns When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
 * @param handle Gets the buffer's handle; 0: the slice ended, or a signal handler ran.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: as in `xmem_receive_timed`. With this and every other error the wait is over.
 *     Otherwise as `xmem_receive_timed`.
 */
int32_t xmem_receive_slice(xmem_pool pool, xmem_channel channel, uint64_t deadline_ns, xmem_handle *handle);

/**
 * One slice of an `xmem_wait_any`, likewise.
 *
 * @param sources As many as `count` says.
 * @param count 1 to XMEM_LIMIT_WAIT_SOURCES.
 * @param deadline_ns When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
 * @param place Gets the place in `sources` of the one that has something; `count`: the slice ended, or a
 *     signal handler ran.
 *
 * @return 0, or
 *     XMEM_TIMEOUT: as in `xmem_wait_any`. With this and every other error the wait is over.
 *     Otherwise as `xmem_wait_any`.
 */
int32_t xmem_wait_any_slice(const xmem_source *sources, uint32_t count, uint64_t deadline_ns, uint32_t *place);

/**
 * Ends a wait by slices before its time, where the last slice brought nothing.
 *
 * @param pool The open pool.
 * @param channel The open channel; 0: the wait was for a free buffer of the pool.
 * @param end XMEM_END_SENDING or XMEM_END_RECEIVING; of a pool 0.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: the channel is not open here.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `end` is unknown.
 */
int32_t xmem_wait_end(xmem_pool pool, xmem_channel channel, uint32_t end);

/**
 * What an event loop needs to wait at a pool or a channel: a file descriptor that becomes readable
 * when a try is worth it, by `xmem_acquire_next`, `xmem_receive_next` or `xmem_send_next`, or by
 * `xmem_get_channel_stats` for the close of a channel. The caller reads away what comes and closes
 * it. A wait goes so: `xmem_loop_arm`, try, and where that brings nothing, wait until it is
 * readable and begin again; at the end `xmem_loop_rest`.
 *
 * @param pool The open pool.
 * @param channel The open channel; 0: the wait is for a free buffer of the pool.
 * @param end XMEM_END_SENDING, XMEM_END_RECEIVING or XMEM_END_CLOSING; of a pool 0.
 * @param fd Gets the file descriptor, the same one each time.
 *
 * @return 0, or
 *     XMEM_OUT_OF_MEMORY, XMEM_SYSTEM: no thread or no socket could be made.
 *     XMEM_CHANNEL_CLOSED: the channel is not open here.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, `end` is unknown, or `fd` is NULL.
 */
int32_t xmem_loop_open(xmem_pool pool, xmem_channel channel, uint32_t end, int32_t *fd);

/**
 * Before a try of an event loop: what comes after this makes the file descriptor readable.
 *
 * @param pool The open pool.
 * @param channel As in `xmem_loop_open`.
 * @param end As in `xmem_loop_open`.
 * @param armed Gets 1; 0: a recovery has the pool. Try and arm again in some milliseconds.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED, XMEM_POOL_CLOSED: as in `xmem_loop_open`.
 *     XMEM_INVALID_ARGUMENT: `xmem_loop_open` was not called for this place, or as there.
 */
int32_t xmem_loop_arm(xmem_pool pool, xmem_channel channel, uint32_t end, uint32_t *armed);

/**
 * Nobody in this event loop waits at that place any more.
 *
 * @param pool The open pool.
 * @param channel As in `xmem_loop_open`.
 * @param end As in `xmem_loop_open`.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED, XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_loop_open`.
 */
int32_t xmem_loop_rest(xmem_pool pool, xmem_channel channel, uint32_t end);

/**
 * A try of an event loop that waits for a buffer: it never waits, and somebody who has waited for
 * long goes first.
 *
 * @param pool The open pool.
 * @param size Bytes, 0 to the pool's buffer size.
 * @param waited_ns For how long the caller has waited; 0 at its first try.
 * @param handle Gets the buffer's handle; 0: a release may bring one.
 *
 * @return 0, or
 *     XMEM_POOL_FLUSHING, XMEM_TOO_LARGE, XMEM_OUT_OF_MEMORY, XMEM_SYSTEM, XMEM_POOL_CORRUPT,
 *     XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_acquire_timed`.
 */
int32_t xmem_acquire_next(xmem_pool pool, uint32_t size, uint64_t waited_ns, xmem_handle *handle);

/**
 * A try of an event loop that waits for what a channel brings: it never waits.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param is_first 1 at the first try of a wait: it looks a little longer. 0 later.
 * @param handle Gets the buffer's handle; 0: a send may bring one.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: as in `xmem_receive`.
 *     Otherwise as `xmem_receive`, without XMEM_POOL_BUSY.
 */
int32_t xmem_receive_next(xmem_pool pool, xmem_channel channel, uint32_t is_first, xmem_handle *handle);

/**
 * A try of an event loop that waits for room in a channel: it never waits.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param handle Of a buffer that this descriptor holds.
 * @param is_first 1 at the first try of a wait: it looks a little longer. 0 later.
 * @param sent Gets 1 where the buffer was sent; 0: a receive may bring room.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: as in `xmem_try_send`.
 *     Otherwise as `xmem_try_send`, without XMEM_CHANNEL_FULL and XMEM_POOL_BUSY. The hold stays, as
 *     with 0 in `sent`.
 */
int32_t xmem_send_next(xmem_pool pool, xmem_channel channel, xmem_handle handle, uint32_t is_first, uint32_t *sent);

/**
 * Tells what a held buffer's bytes mean, as its holders described it.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param description Gets everything. Set its `size` before.
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold. XMEM_POOL_CORRUPT: the description is
 *     damaged. XMEM_POOL_CLOSED: the pool is not open. XMEM_INVALID_ARGUMENT: another thread opened
 *     it, or `size` is wrong.
 */
int32_t xmem_get_description(xmem_pool pool, xmem_handle handle, xmem_description *description);

/**
 * Sets the type of a held buffer's elements. Strides that are the contiguous ones change with it.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param dtype One of XMEM_DTYPE_UINT8 ...
 *
 * @return 0, or
 *     XMEM_STALE_HANDLE: this descriptor has no such hold. XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: `dtype` is unknown; or another thread opened the pool.
 */
int32_t xmem_set_dtype(xmem_pool pool, xmem_handle handle, uint32_t dtype);

/**
 * Sets the time that a held buffer's content belongs to.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param timestamp At most 2^53. The producer decides its unit.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: `timestamp` is above 2^53; or another thread opened the pool.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_timestamp(xmem_pool pool, xmem_handle handle, uint64_t timestamp);

/**
 * Sets the number that a held buffer has in a sequence.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param sequence At most 2^53.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: `sequence` is above 2^53; or another thread opened the pool.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_sequence(xmem_pool pool, xmem_handle handle, uint64_t sequence);

/**
 * Sets how many elements a held buffer has per dimension. Strides that are the contiguous ones
 * change with it.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param shape As many numbers as `count` says; may be NULL where that is 0.
 * @param count Dimensions, at most 8.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is above 2^53; or another thread
 *     opened the pool. The old shape stays.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_shape(xmem_pool pool, xmem_handle handle, const uint64_t *shape, uint32_t count);

/**
 * Sets how many bytes a held buffer has from one element to the next, per dimension.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param strides Bytes, as many numbers as `count` says; may be NULL where that is 0.
 * @param count Dimensions, at most 8.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is beyond 2^53; or another
 *     thread opened the pool. The old strides stay.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_strides(xmem_pool pool, xmem_handle handle, const int64_t *strides, uint32_t count);

/**
 * Sets what kind of content a held buffer has, for example a MIME type.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param content_type UTF-8, at most 31 bytes; NULL: empty.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
 *     stays.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_content_type(xmem_pool pool, xmem_handle handle, const char *content_type);

/**
 * Sets the producer of a held buffer's content.
 *
 * @param pool The open pool.
 * @param handle Of a buffer that this descriptor holds.
 * @param producer UTF-8, at most 31 bytes; NULL: empty.
 *
 * @return 0, or
 *     XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
 *     stays.
 *     Otherwise as `xmem_set_dtype`.
 */
int32_t xmem_set_producer(xmem_pool pool, xmem_handle handle, const char *producer);

/**
 * Commits memory for the next buffers that acquires will get, and holds nothing afterwards.
 *
 * @param pool The open pool.
 * @param size Bytes per buffer, 0 to the pool's buffer size.
 * @param count Buffers; of more than are free, as many as are.
 * @param bytes Gets the bytes that were committed anew; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_TOO_LARGE: no buffer of this pool is that large.
 *     XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for even one.
 *     XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
 *     XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery, or of an operation.
 *     XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_preallocate(xmem_pool pool, uint32_t size, uint32_t count, uint64_t *bytes);

/**
 * Gives the memory of free buffers back to the system.
 *
 * @param pool The open pool.
 * @param bytes Gets the bytes that were given back; NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_POOL_BUSY: as in `xmem_preallocate`.
 *     XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_trim(xmem_pool pool, uint64_t *bytes);

/**
 * Ends every wait of every process with XMEM_POOL_FLUSHING, and has every acquire fail with it,
 * until `xmem_unflush`, or until this participant is gone. It does not nest.
 *
 * @param pool The open pool.
 *
 * @return 0, or
 *     XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_flush(xmem_pool pool);

/**
 * Ends every flush of the pool, also that of another participant.
 *
 * @param pool The open pool.
 *
 * @return 0, or
 *     XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
 *     XMEM_INVALID_ARGUMENT: another thread opened the pool.
 */
int32_t xmem_unflush(xmem_pool pool);

/**
 * Gives back what dead participants and expired leases left. An acquire that finds the pool full
 * does so by itself.
 *
 * @param pool The open pool.
 * @param report Gets what was given back; set its `size` before. NULL: not wanted.
 *
 * @return 0, or
 *     XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
 */
int32_t xmem_reclaim(xmem_pool pool, xmem_reclaim_report *report);

/**
 * What goes on in the pool. It looks at every buffer: not a call for each frame.
 *
 * @param pool The open pool.
 * @param stats Gets everything. Set its `size` before.
 *
 * @return 0, or
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
 */
int32_t xmem_stats(xmem_pool pool, xmem_pool_stats *stats);

/**
 * The threads that have the pool open, or had when they died.
 *
 * @param pool The open pool.
 * @param rows Gets the participants; may be NULL where `rows_max` is 0.
 * @param row_size `sizeof(xmem_participant)`.
 * @param rows_max For how many `rows` has room.
 * @param count Gets how many were written.
 *
 * @return 0, or
 *     XMEM_OUT_OF_MEMORY: there is no memory for the answer.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
 */
int32_t xmem_participants(xmem_pool pool, xmem_participant *rows, size_t row_size, uint32_t rows_max, uint32_t *count);

/**
 * What goes on in an open channel. It looks at every participant.
 *
 * @param pool The open pool.
 * @param channel The open channel.
 * @param stats Gets everything. Set its `size` before.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: it is not open here. That somebody closed it is no error.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
 */
int32_t xmem_get_channel_stats(xmem_pool pool, xmem_channel channel, xmem_channel_stats *stats);

/**
 * The channels of a pool.
 *
 * @param pool The open pool.
 * @param rows Gets the channels; may be NULL where `rows_max` is 0.
 * @param row_size `sizeof(xmem_channel_stats)`. Each row's `size` becomes it.
 * @param rows_max For how many `rows` has room.
 * @param count Gets how many were written.
 *
 * @return 0, or
 *     XMEM_OUT_OF_MEMORY: there is no memory for the answer.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
 */
int32_t xmem_channels(xmem_pool pool, xmem_channel_stats *rows, size_t row_size, uint32_t rows_max, uint32_t *count);

/**
 * The opens that subscribe to a broadcast.
 *
 * @param pool The open pool.
 * @param number The `number` that `xmem_get_channel_stats` or `xmem_channels` says.
 * @param rows Gets the subscribers; may be NULL where `rows_max` is 0.
 * @param row_size `sizeof(xmem_subscriber)`.
 * @param rows_max For how many `rows` has room; there are at most XMEM_LIMIT_CHANNEL_SUBSCRIBERS.
 * @param count Gets how many were written.
 *
 * @return 0, or
 *     XMEM_CHANNEL_CLOSED: the pool has no channel of that number any more.
 *     XMEM_POOL_CLOSED: the pool is not open.
 *     XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
 */
int32_t xmem_subscribers(xmem_pool pool, uint64_t number, xmem_subscriber *rows, size_t row_size, uint32_t rows_max, uint32_t *count);

/**
 * A code's name without its XMEM_, as "POOL_FULL"; of 0 "OK", of what is no code "UNKNOWN".
 *
 * @param status What a call returned.
 */
const char *xmem_error_name(int32_t status);

/**
 * Why this thread's last call failed, for people, ended by a 0; empty where none failed. The next
 * call that works on a pool forgets it. Returns the length of the whole text, however much of it
 * there was room for.
 *
 * @param text Gets the text; may be NULL where `size` is 0.
 * @param size Bytes that `text` has room for, the 0 included.
 */
size_t xmem_error_text(char *text, size_t size);

/**
 * The errno of the system call for which this thread's last call failed; 0: there was none. The
 * next call that works on a pool forgets it.
 */
int32_t xmem_error_errno(void);

#ifdef __cplusplus
}
#endif

#endif
