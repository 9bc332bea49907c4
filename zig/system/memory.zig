//! Mapping memory, and seeing to it that a mapped page really exists before somebody touches it: on
//! a full tmpfs a touch is a SIGBUS, and only asking first turns that into an error. The core
//! decides how much is committed, and by whom.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const hooks = @import("hooks");
const errors = @import("../errors.zig");

const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

pub const Error = error{ OutOfMemory, System };

/// Every page of every system that we run on is a multiple of this.
pub const alignment = 4096;
pub const Pointer = [*]align(alignment) u8;

comptime {
    // Lengths of pools are u64 everywhere, and must fit an address.
    std.debug.assert(@sizeOf(usize) == 8);
}

/// The page size of the running system, which on aarch64 is not known before.
pub fn pageSize() u64 {
    return std.heap.pageSize();
}

/// Maps the first `length` bytes of a file, shared with everybody else who maps them. It costs
/// address space only.
pub fn map(fd: i32, length: u64, writable: bool) Error!Pointer {
    return mapWith(fd, length, writable, .{ .TYPE = .SHARED });
}

pub fn unmap(base: [*]align(alignment) const u8, length: u64) void {
    _ = std.c.munmap(@ptrCast(@alignCast(base)), length);
}

pub const Local = [*]align(16) u8;

/// Up to a page comes from the heap: a mapping of its own costs two calls and a page fault.
const heap_bytes_max = 4096;

/// Zeroed memory of this process alone, of which only touched pages cost memory. Null where the
/// system refuses so much address space.
pub fn reserveLocal(length: u64) ?Local {
    if (length <= heap_bytes_max) {
        return @ptrCast(@alignCast(std.c.calloc(1, @max(length, 1)) orelse return null));
    }
    const flags: std.c.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    return mapWith(-1, length, true, flags) catch null;
}

/// `length` is that of the reservation.
pub fn releaseLocal(base: Local, length: u64) void {
    if (length <= heap_bytes_max) std.c.free(base) else unmap(@alignCast(base), length);
}

fn mapWith(fd: i32, length: u64, writable: bool, flags: std.c.MAP) Error!Pointer {
    const protection: std.c.PROT = .{ .READ = true, .WRITE = writable };
    hooks.call();
    const address = std.c.mmap(null, length, protection, flags, fd, 0);
    if (@intFromPtr(address) != std.math.maxInt(usize)) return @ptrCast(@alignCast(address));
    const errno = lastErrno();
    return failed(errno, "mapping {d} bytes failed", .{length});
}

/// Makes the range exist in the file and in this mapping of it, so that no later touch can fail,
/// neither here nor in any other process. What the range holds already stays. The range must be of
/// pages that nobody else writes meanwhile, unless the file system has fallocate: see
/// `commitByWriting`.
///
/// After OUT_OF_MEMORY nothing of the range was added to the file, except when signals kept cutting
/// the call short: then a first part of it may stay, and is found again by the next commit.
pub fn commit(fd: i32, base: Pointer, offset: u64, length: u64) Error!void {
    if (length == 0) return;
    try allocate(fd, offset, length);
    try populate(base, offset, length);
}

/// Makes this process's page tables know a range that is committed in the file already.
pub fn populate(base: Pointer, offset: u64, length: u64) error{OutOfMemory}!void {
    if (length == 0) return;
    hooks.call();
    const page_size = pageSize();
    const first = std.mem.alignBackward(u64, offset, page_size);
    const end = std.mem.alignForward(u64, offset + length, page_size);
    if (!is_darwin) {
        const madvise_populate_write = 23; // Linux 5.14
        while (true) {
            const address = @intFromPtr(base) + first;
            const result = linux.syscall3(
                .madvise,
                address,
                end - first,
                madvise_populate_write,
            );
            switch (linux.errno(result)) {
                .SUCCESS => return,
                .INTR, .AGAIN => continue,
                // A touch of that page would be a SIGBUS. The kernel returns EFAULT for it.
                .FAULT, .NOMEM, .HWPOISON => |errno| {
                    return @errorCast(errors.fail(
                        error.OutOfMemory,
                        @intFromEnum(errno),
                        "{d} bytes at {d} could not be brought into memory",
                        .{ length, offset },
                    ));
                },
                // EINVAL of an older kernel, ENOSYS or EPERM of a sandbox: touching does the same,
                // a fault a page. It cannot fail for want of memory where the range is committed.
                else => break,
            }
        }
    }
    touch(base, first, end, page_size);
}

/// Overwrites bytes that are mapped and committed.
pub fn zero(bytes: []u8) void {
    hooks.call();
    @memset(bytes, 0);
}

/// Gives the range's memory back to the system; it reads as zeros from then on. Only whole pages
/// inside the range are given back. False where the file system or the system cannot.
pub fn punch(fd: i32, offset: u64, length: u64) bool {
    if (length == 0) return true;
    if (is_darwin) return darwinPunch(fd, offset, length);
    const mode = linux.FALLOC.FL_PUNCH_HOLE | linux.FALLOC.FL_KEEP_SIZE;
    while (true) {
        hooks.call();
        const result = linux.fallocate(fd, mode, @intCast(offset), @intCast(length));
        switch (linux.errno(result)) {
            .SUCCESS => return true,
            .INTR => continue,
            else => return false,
        }
    }
}

/// The file's part of a commit.
fn allocate(fd: i32, offset: u64, length: u64) Error!void {
    if (is_darwin) return commitByWriting(fd, offset, length);
    // The whole range in one call, since the kernel takes back what it did when it fails. A signal
    // makes it fail too: a profiler's timer that fires more often than the call takes would keep it
    // from ever succeeding, so that each interruption halves what is asked for at once.
    const piece_min = 64 * 1024;
    var piece = length;
    var done: u64 = 0;
    while (done < length) {
        const part = @min(piece, length - done);
        hooks.call();
        const result = linux.fallocate(fd, 0, @intCast(offset + done), @intCast(part));
        switch (linux.errno(result)) {
            .SUCCESS => done += part,
            .INTR => piece = @max(piece / 2, @min(piece, piece_min)),
            .OPNOTSUPP, .NOSYS => return commitByWriting(fd, offset + done, length - done),
            else => |errno| return failed(
                @intFromEnum(errno),
                "allocating {d} bytes of shared memory failed",
                .{length},
            ),
        }
    }
}

/// For file systems without fallocate (ramfs, some network file systems, macOS). Writing through
/// the file says ENOSPC where a touch of the mapping would be a SIGBUS. What is written is what was
/// read there just before, so that the range keeps its content, and whole pages, since a file
/// system may allocate in units smaller than those that a mapping faults in. A write of somebody
/// else between the reading and the writing would be lost; the core commits a range only while
/// it is nobody else's.
fn commitByWriting(fd: i32, offset: u64, length: u64) Error!void {
    // A write past the limit for a file would kill the process with SIGXFSZ.
    const limit = std.posix.getrlimit(.FSIZE) catch null;
    if (limit) |known| if (offset + length > known.cur) return failed(
        @intFromEnum(std.c.E.FBIG),
        "the pool is written to up to byte {d}, the limit of this process for a file is {d}",
        .{ offset + length, known.cur },
    );
    var buffer: [alignment]u8 = undefined;
    var position = offset;
    while (position < offset + length) {
        const in_page = position % alignment;
        const part: usize = @intCast(@min(alignment - in_page, offset + length - position));
        const read = std.c.pread(fd, &buffer, part, @intCast(position));
        if (read < 0) {
            const errno = lastErrno();
            if (errno == @intFromEnum(std.c.E.INTR)) continue;
            return failed(errno, "reading the pool at {d} failed", .{position});
        }
        // Past the end of the file, which is a mistake of the caller: the file must not become
        // longer.
        if (read == 0) return failed(0, "the pool ends at {d}", .{position});
        const written = std.c.pwrite(fd, &buffer, @intCast(read), @intCast(position));
        if (written < 0) {
            const errno = lastErrno();
            if (errno == @intFromEnum(std.c.E.INTR)) continue;
            return failed(errno, "allocating {d} bytes of the pool by writing failed", .{length});
        }
        position += @intCast(written);
    }
}

/// Faults each page in for writing. Each byte is replaced by itself, atomically: a plain load and
/// store would lose what a peer writes there in between, and a load alone would map the page for
/// reading only. Not an atomic "or 0" either, which the compiler turns into a fence and a load.
fn touch(base: Pointer, first: u64, end: u64, page_size: u64) void {
    var position = first;
    while (position < end) : (position += page_size) {
        const byte = &base[position];
        var found = @atomicLoad(u8, byte, .monotonic);
        while (@cmpxchgWeak(u8, byte, found, found, .monotonic, .monotonic)) |now| found = now;
    }
}

fn darwinPunch(fd: i32, offset: u64, length: u64) bool {
    const PunchHole = extern struct { flags: u32, reserved: u32, offset: i64, length: i64 };
    const f_punchhole = 99;
    // It refuses a range that does not begin and end with a block.
    const page_size = pageSize();
    const first = std.mem.alignForward(u64, offset, page_size);
    const end = std.mem.alignBackward(u64, offset + length, page_size);
    if (first >= end) return true;
    var range: PunchHole = .{
        .flags = 0,
        .reserved = 0,
        .offset = @intCast(first),
        .length = @intCast(end - first),
    };
    return std.c.fcntl(fd, f_punchhole, &range) != -1;
}

fn lastErrno() i32 {
    return std.c._errno().*;
}

/// What the failed call meant, with the detail recorded for the caller's caller.
fn failed(errno: i32, comptime format: []const u8, arguments: anytype) Error {
    const known: std.c.E = @enumFromInt(errno);
    const err: Error = switch (known) {
        .NOSPC, .NOMEM, .DQUOT, .FBIG, .OVERFLOW => error.OutOfMemory,
        // mmap returns this for a mapping beyond the limits for locked or counted memory.
        .AGAIN => error.OutOfMemory,
        else => error.System,
    };
    return @errorCast(errors.fail(err, errno, format, arguments));
}

const testing = std.testing;
const testing_os = @import("testing_os.zig");
const allocatedBytes = testing_os.allocatedBytes;

test "a commit allocates its pages and no others, and again costs nothing" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const length = 64 * page_size;
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    const base = try map(fd, length, true);
    defer unmap(base, length);
    try testing.expectEqual(@as(u64, 0), try allocatedBytes(fd));
    try commit(fd, base, 0, 0);
    try testing.expectEqual(@as(u64, 0), try allocatedBytes(fd));
    try commit(fd, base, 8 * page_size, 5 * page_size);
    try testing.expectEqual(5 * page_size, try allocatedBytes(fd));
    try commit(fd, base, 8 * page_size, 5 * page_size);
    try testing.expectEqual(5 * page_size, try allocatedBytes(fd));
    // A byte is a page.
    try commit(fd, base, 20 * page_size + 100, 1);
    try testing.expectEqual(6 * page_size, try allocatedBytes(fd));
}

test "a commit keeps what is there" {
    if (is_darwin) return error.SkipZigTest;
    const length = 16 * pageSize();
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    const base = try map(fd, length, true);
    defer unmap(base, length);
    for (base[0..length], 0..) |*byte, index| byte.* = @truncate(index *% 31);
    try commit(fd, base, 0, length);
    try commitByWriting(fd, 100, length - 200);
    touch(base, 0, length, pageSize());
    for (base[0..length], 0..) |byte, index| {
        try testing.expectEqual(@as(u8, @truncate(index *% 31)), byte);
    }
}

test "a commit by writing allocates what fallocate would, and never makes the file longer" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const length = 16 * page_size;
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    try commitByWriting(fd, 3 * page_size + 5, 2 * page_size);
    try testing.expectEqual(3 * page_size, try allocatedBytes(fd));
    try testing.expectError(error.System, commitByWriting(fd, length - 10, 20));
    var end: [1]u8 = undefined;
    try testing.expectEqual(@as(isize, 0), std.c.pread(fd, &end, 1, @intCast(length)));
}

test "a commit by writing past the limit for a file is an error and not a signal" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const fd = try testing_os.sharedFile(16 * page_size);
    defer _ = std.c.close(fd);
    const child = testing_os.fork();
    if (child == 0) {
        const limit: std.posix.rlimit = .{ .cur = 4 * page_size, .max = 4 * page_size };
        std.posix.setrlimit(.FSIZE, limit) catch std.c._exit(1);
        commitByWriting(fd, 0, 4 * page_size) catch std.c._exit(2);
        commitByWriting(fd, 3 * page_size, 2 * page_size) catch |err|
            std.c._exit(if (err == error.OutOfMemory) 0 else 3);
        std.c._exit(4);
    }
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
    try testing.expectEqual(4 * page_size, try allocatedBytes(fd));
}

test "touching maps pages for writing" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const length = 16 * page_size;
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    const base = try map(fd, length, true);
    defer unmap(base, length);
    touch(base, 0, length, page_size);
    try testing.expectEqual(length, try allocatedBytes(fd));
    // The soft-dirty or the reference bits would tell it directly, but not every kernel has them:
    // after a write fault a page is dirty in the mapping, which smaps counts.
    const dirty_bytes = try dirtyBytesOf(base) orelse return error.SkipZigTest;
    try testing.expectEqual(length, dirty_bytes);
}

/// Dirty bytes of the mapping that begins at `base`, from /proc/self/smaps.
fn dirtyBytesOf(base: Pointer) !?u64 {
    var name: [32]u8 = undefined;
    const start = try std.fmt.bufPrint(&name, "{x}-", .{@intFromPtr(base)});
    const fd = std.c.open("/proc/self/smaps", .{ .ACCMODE = .RDONLY });
    if (fd < 0) return null;
    defer _ = std.c.close(fd);
    const size = 4 << 20;
    const text = try testing.allocator.alloc(u8, size);
    defer testing.allocator.free(text);
    var used: usize = 0;
    while (used < size) {
        const count = std.c.read(fd, text[used..].ptr, size - used);
        if (count <= 0) break;
        used += @intCast(count);
    }
    const at = std.mem.indexOf(u8, text[0..used], start) orelse return null;
    var sum: u64 = 0;
    for ([_][]const u8{ "Shared_Dirty:", "Private_Dirty:" }) |field| {
        const field_at = std.mem.indexOfPos(u8, text[0..used], at, field) orelse return null;
        var words = std.mem.tokenizeScalar(u8, text[field_at + field.len .. used], ' ');
        sum += 1024 * try std.fmt.parseInt(u64, words.next() orelse return null, 10);
    }
    return sum;
}

test "populating past the end of the file is out of memory, not a crash" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const fd = try testing_os.sharedFile(page_size);
    defer _ = std.c.close(fd);
    const base = try map(fd, 4 * page_size, true);
    defer unmap(base, 4 * page_size);
    try populate(base, 0, page_size);
    // Only where the kernel has MADV_POPULATE_WRITE: touching it would be a SIGBUS.
    const result = linux.syscall3(.madvise, @intFromPtr(base), page_size, 23);
    if (linux.errno(result) != .SUCCESS) return error.SkipZigTest;
    try testing.expectError(error.OutOfMemory, populate(base, page_size, page_size));
    try testing.expect(errors.lastErrno() != 0);
}

test "punching gives pages back and zeroes them" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const length = 16 * page_size;
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    const base = try map(fd, length, true);
    defer unmap(base, length);
    try commit(fd, base, 0, length);
    @memset(base[0..length], 0xaa);
    try testing.expect(punch(fd, 4 * page_size, 8 * page_size));
    try testing.expect(punch(fd, 0, 0));
    try testing.expectEqual(8 * page_size, try allocatedBytes(fd));
    try testing.expectEqual(@as(u8, 0xaa), base[4 * page_size - 1]);
    try testing.expectEqual(@as(u8, 0), base[4 * page_size]);
    try testing.expect(!punch(-1, 0, page_size));
}

test "a commit that does not fit fails with the errno" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = pageSize();
    const fd = try testing_os.sharedFile(page_size);
    defer _ = std.c.close(fd);
    const base = try map(fd, page_size, true);
    defer unmap(base, page_size);
    // Past what any file can be.
    const far = std.math.maxInt(i64) - page_size;
    try testing.expectError(error.OutOfMemory, allocate(fd, far, 2 * page_size));
    try testing.expect(errors.lastErrno() != 0);
    try testing.expectError(error.System, commit(-1, base, 0, page_size));
    try testing.expectEqual(@as(i32, @intFromEnum(std.c.E.BADF)), errors.lastErrno());
    try testing.expect(errors.lastText().len > 0);
}

test "a commit gets through a storm of signals" {
    if (is_darwin) return error.SkipZigTest;
    const length = 64 << 20;
    const fd = try testing_os.sharedFile(length);
    defer _ = std.c.close(fd);
    const base = try map(fd, length, true);
    defer unmap(base, length);
    var previous: std.posix.Sigaction = undefined;
    std.posix.sigaction(.USR2, &.{
        .handler = .{ .handler = struct {
            fn handle(_: std.c.SIG) callconv(.c) void {}
        }.handle },
        .mask = std.posix.sigemptyset(),
        .flags = 0,
    }, &previous);
    defer std.posix.sigaction(.USR2, &previous, null);
    var stop: u32 = 0;
    const storm = try std.Thread.spawn(.{}, struct {
        fn run(target: std.c.pthread_t, stop_word: *u32) void {
            while (@atomicLoad(u32, stop_word, .monotonic) == 0) {
                _ = std.c.pthread_kill(target, .USR2);
                const pause: std.c.timespec = .{ .sec = 0, .nsec = 20 * std.time.ns_per_us };
                _ = std.c.nanosleep(&pause, null);
            }
        }
    }.run, .{ std.c.pthread_self(), &stop });
    const result = commit(fd, base, 0, length);
    @atomicStore(u32, &stop, 1, .monotonic);
    storm.join();
    try result;
    try testing.expectEqual(@as(u64, length), try allocatedBytes(fd));
}

test "a mapping without the right to write, or of nothing, says why" {
    if (is_darwin) return error.SkipZigTest;
    try testing.expectError(error.System, map(-1, 4096, true));
    try testing.expectEqual(@as(i32, @intFromEnum(std.c.E.BADF)), errors.lastErrno());
    const fd = try testing_os.sharedFile(4096);
    defer _ = std.c.close(fd);
    try testing.expectError(error.OutOfMemory, map(fd, std.math.maxInt(u64) - 4095, true));
    const base = try map(fd, 4096, false);
    defer unmap(base, 4096);
    try testing.expectEqual(@as(u8, 0), base[0]);
}

test "local memory is zero, sparse and separate" {
    const length = 16 << 30;
    const base = reserveLocal(length) orelse return error.SkipZigTest;
    defer releaseLocal(base, length);
    try testing.expectEqual(@as(u8, 0), base[length - 1]);
    base[length / 2] = 1;
    try testing.expectEqual(@as(u8, 1), base[length / 2]);
}
