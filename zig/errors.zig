//! The error codes that cross the C ABI, the Zig error set that stands for them inside the core,
//! and the detail (errno, text) of a thread's last failure. No other file numbers an error.

const std = @import("std");

/// The codes, as C and TypeScript see them. A failed call returns the code negated.
pub const Code = enum(i32) {
    /// Something has that name already.
    POOL_EXISTS = 1,
    /// Nothing has that name in the folder of pools.
    POOL_NOT_FOUND = 2,
    /// Every buffer is in use.
    POOL_FULL = 3,
    /// Somebody flushes the pool.
    POOL_FLUSHING = 4,
    /// The pool was closed, or was opened before this process was forked.
    POOL_CLOSED = 5,
    /// The object holds what xmem never wrote.
    POOL_CORRUPT = 6,
    /// Another participant is stopped in the middle of a recovery.
    POOL_BUSY = 7,
    /// The object was made by another format version, layout, libc or page size.
    VERSION_MISMATCH = 8,
    /// The pool that exists is smaller than was explicitly asked for.
    OPTIONS_MISMATCH = 9,
    /// The system does not let this user use the object, or its owner is not trusted.
    PERMISSION_DENIED = 10,
    /// Every row of the pool is taken, or this thread has too many pools open.
    TOO_MANY_PARTICIPANTS = 11,
    /// No buffer in use has that index.
    BUFFER_NOT_FOUND = 12,
    /// The buffer still has references.
    BUFFER_IN_USE = 13,
    /// The buffer was recycled since the handle was made, or is of another pool.
    STALE_HANDLE = 14,
    /// The buffer has no reference of the kind that the call uses up.
    NO_REFERENCE = 15,
    /// The buffer has 65535 references already.
    TOO_MANY_REFERENCES = 16,
    /// More bytes were asked for than a buffer of this pool can have.
    TOO_LARGE = 17,
    /// The file system, the process or the bound of committed bytes has no room for it.
    OUT_OF_MEMORY = 18,
    /// There is no room in the channel.
    CHANNEL_FULL = 19,
    /// The channel was closed, and for a receiver nothing is left in it.
    CHANNEL_CLOSED = 20,
    /// Only of TypeScript: something was to be written through a guard that only reads.
    READ_ONLY = 21,
    /// The receiver of a request gave it back without a reply; in TypeScript also: the guard was
    /// released before.
    RELEASED = 22,
    /// The time of a wait passed before there was a buffer, or room.
    TIMEOUT = 23,
    /// An argument is out of range.
    INVALID_ARGUMENT = 24,
    /// The system lacks what xmem needs.
    UNSUPPORTED_PLATFORM = 25,
    /// A system call failed.
    SYSTEM = 26,
    /// The receiver of a request died, or let go of it without a word.
    PEER_DIED = 27,
    /// Only of TypeScript: a source of frames ended in the middle of one.
    INCOMPLETE = 28,
    /// Only of TypeScript: what was stored is not what comes back.
    DAMAGED = 29,
    /// Internal: a slice of a wait ended and the caller goes on with it. Users never see it.
    PENDING = 100,
    /// Internal: `maxCommitted` is used up by buffers in use. A call that cannot wait says
    /// OUT_OF_MEMORY.
    COMMIT_LIMIT = 101,
    /// Internal: nothing is in the channel. A call that cannot wait says so by null.
    CHANNEL_EMPTY = 102,
};

/// Codes from here on are the core's own: no other language gives them a name that users see.
pub const internal_min = 100;

pub const Error = error{
    PoolExists,
    PoolNotFound,
    PoolFull,
    PoolFlushing,
    PoolClosed,
    PoolCorrupt,
    PoolBusy,
    VersionMismatch,
    OptionsMismatch,
    PermissionDenied,
    TooManyParticipants,
    BufferNotFound,
    BufferInUse,
    StaleHandle,
    NoReference,
    TooManyReferences,
    TooLarge,
    OutOfMemory,
    Timeout,
    InvalidArgument,
    UnsupportedPlatform,
    System,
    Pending,
    CommitLimit,
    ChannelFull,
    ChannelClosed,
    ChannelEmpty,
    Released,
    PeerDied,
};

pub fn codeOf(err: Error) Code {
    return switch (err) {
        error.PoolExists => .POOL_EXISTS,
        error.PoolNotFound => .POOL_NOT_FOUND,
        error.PoolFull => .POOL_FULL,
        error.PoolFlushing => .POOL_FLUSHING,
        error.PoolClosed => .POOL_CLOSED,
        error.PoolCorrupt => .POOL_CORRUPT,
        error.PoolBusy => .POOL_BUSY,
        error.VersionMismatch => .VERSION_MISMATCH,
        error.OptionsMismatch => .OPTIONS_MISMATCH,
        error.PermissionDenied => .PERMISSION_DENIED,
        error.ChannelFull => .CHANNEL_FULL,
        error.ChannelClosed => .CHANNEL_CLOSED,
        error.ChannelEmpty => .CHANNEL_EMPTY,
        error.Released => .RELEASED,
        error.PeerDied => .PEER_DIED,
        error.TooManyParticipants => .TOO_MANY_PARTICIPANTS,
        error.BufferNotFound => .BUFFER_NOT_FOUND,
        error.BufferInUse => .BUFFER_IN_USE,
        error.StaleHandle => .STALE_HANDLE,
        error.NoReference => .NO_REFERENCE,
        error.TooManyReferences => .TOO_MANY_REFERENCES,
        error.TooLarge => .TOO_LARGE,
        error.OutOfMemory => .OUT_OF_MEMORY,
        error.Timeout => .TIMEOUT,
        error.InvalidArgument => .INVALID_ARGUMENT,
        error.UnsupportedPlatform => .UNSUPPORTED_PLATFORM,
        error.System => .SYSTEM,
        error.Pending => .PENDING,
        error.CommitLimit => .COMMIT_LIMIT,
    };
}

/// A failed call's return value: the code negated.
pub fn negative(err: Error) i32 {
    return -@intFromEnum(codeOf(err));
}

pub const Detail = struct {
    code: i32 = 0,
    errno: i32 = 0,
    length: u32 = 0,
    text: [512]u8 = undefined,
};

threadlocal var last: Detail = .{};

/// Where the calling thread's last failure stands, for as long as the thread lives: 0 where it has
/// none to forget. A thread keeps the address, since to find it is a call of the loader's.
pub fn ofThisThread() *const i32 {
    return &last.code;
}

/// The same of nobody.
pub const none: i32 = 0;

/// Forgets the last failure. A call whose failure may leave a detail begins with it, so that a
/// detail never outlives the call that it belongs to.
pub fn clear() void {
    if (last.code == 0) return;
    last.code = 0;
    last.errno = 0;
    last.length = 0;
}

/// Records what was found and returns the error, so that a check reads `return errors.fail(...)`.
/// `errno` is 0 where no system call failed; its words are added to the text for people.
///
/// The text is what was found, and after a semicolon what the user can do about just that. A text
/// without a semicolon is followed by what can be done about the errno or the code in general.
pub fn fail(err: Error, errno: i32, comptime format: []const u8, arguments: anytype) Error {
    if (std.meta.fields(@TypeOf(arguments)).len == 0)
        return failPlainly(err, errno, comptime std.fmt.comptimePrint(format, .{}));
    last.code = @intFromEnum(codeOf(err));
    last.errno = errno;
    var text: std.Io.Writer = .fixed(&last.text);
    // A text that is too long, of a long path say, is cut.
    text.print(format, arguments) catch {};
    last.length = @intCast(text.end);
    return err;
}

/// One function for all texts in which nothing is filled in, since each format makes one of its own.
noinline fn failPlainly(err: Error, errno: i32, text: []const u8) Error {
    @branchHint(.cold);
    last.code = @intFromEnum(codeOf(err));
    last.errno = errno;
    last.length = @min(text.len, last.text.len);
    @memcpy(last.text[0..last.length], text[0..last.length]);
    return err;
}

/// What was recorded last, for a caller that has to clean up before it is read.
pub fn detail() Detail {
    return last;
}

pub fn restore(kept: Detail) void {
    last = kept;
}

/// Records the code of a failed call. A detail of another code is forgotten: it belongs to
/// something that failed on the way and did not matter.
pub fn note(err: Error) void {
    const code = @intFromEnum(codeOf(err));
    if (last.code != code) {
        clear();
        last.code = code;
    }
}

/// Records the code of a failed call that never leaves a detail, and so did not begin with `clear`.
pub fn noteBare(err: Error) void {
    clear();
    last.code = @intFromEnum(codeOf(err));
}

/// The code of the last failed call, as C sees it; 0 where none failed since `clear`.
pub fn lastCode() i32 {
    return last.code;
}

pub fn lastErrno() i32 {
    return last.errno;
}

pub fn lastText() []const u8 {
    return last.text[0..last.length];
}

test "every error has its own code and survives the detail" {
    const err = fail(error.VersionMismatch, 0, "format {d}, expected {d}", .{ 7, 2 });
    try std.testing.expectEqual(Error.VersionMismatch, err);
    try std.testing.expectEqualStrings("format 7, expected 2", lastText());
    note(error.VersionMismatch);
    try std.testing.expectEqualStrings("format 7, expected 2", lastText());
    note(error.PoolFull);
    try std.testing.expectEqual(@as(usize, 0), lastText().len);
    try std.testing.expectEqual(@intFromEnum(Code.POOL_FULL), lastCode());
    const earlier = fail(error.VersionMismatch, 1, "of an earlier call", .{});
    try std.testing.expectEqual(Error.VersionMismatch, earlier);
    noteBare(error.VersionMismatch);
    try std.testing.expectEqual(@as(usize, 0), lastText().len);
    try std.testing.expectEqual(@as(i32, 0), lastErrno());
}

test "a text that is too long is cut" {
    const path: [600]u8 = @splat('x');
    try std.testing.expectEqual(Error.System, fail(error.System, 2, "opening {s} failed", .{path}));
    try std.testing.expectEqual(@as(usize, 512), lastText().len);
    try std.testing.expectEqualStrings("opening xxxx", lastText()[0..12]);
    clear();
}
