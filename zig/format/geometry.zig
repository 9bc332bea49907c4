//! Where each section of a pool's object lies: computed from the options when a pool is made, and
//! computed again from the header and compared when one is opened, so that afterwards no offset is
//! ever taken from shared memory.

const std = @import("std");
const errors = @import("../errors.zig");
const digest = @import("digest.zig");
const layout = @import("layout.zig");
const words = @import("words.zig");

/// What a pool is asked to be. Times are milliseconds, lengths bytes.
pub const Options = struct {
    capacity: u32 = 1024,
    buffer_size: u32 = 1 << 20,
    participant_count: u32 = 64,
    channel_count: u32 = 16,
    lease_timeout_ms: u32 = 30_000,
    /// 0: the bound is capacity times buffer size.
    max_committed: u64 = 0,
    zero_on_release: bool = false,
    ephemeral: bool = false,
};

pub const Geometry = struct {
    capacity: u32,
    buffer_size: u32,
    participant_count: u32,
    channel_count: u32,
    page_size: u32,
    stride: u64,
    participants_offset: u64,
    slots_offset: u64,
    hold_rows_offset: u64,
    hold_row_stride: u64,
    channels_offset: u64,
    channel_stride: u64,
    data_offset: u64,
    total_size: u64,

    /// The part that every pool has committed from its first moment: header, rows of participants,
    /// slots.
    pub fn fixedBytes(geometry: Geometry) u64 {
        return geometry.hold_rows_offset;
    }

    /// Where a participant's hold row lies, and how much of it is committed when it joins.
    pub fn holdRowOffset(geometry: Geometry, participant: u32) u64 {
        return geometry.hold_rows_offset + @as(u64, participant) * geometry.hold_row_stride;
    }

    /// Where the entries of its cache lie: behind its holds, in the hold row.
    pub fn cacheOffset(geometry: Geometry, participant: u32) u64 {
        return geometry.holdRowOffset(participant) + holdsBytes(geometry.capacity);
    }

    pub fn channelOffset(geometry: Geometry, channel: u32) u64 {
        return geometry.channels_offset + @as(u64, channel) * geometry.channel_stride;
    }

    pub fn dataOffset(geometry: Geometry, index: u32) u64 {
        return geometry.data_offset + @as(u64, index) * geometry.stride;
    }

    pub inline fn committedFor(geometry: Geometry, size: u32) u64 {
        const mask: u64 = geometry.page_size - 1;
        return (@as(u64, size) + mask) & ~mask;
    }
};

/// Of one hold row, up to the entries of the cache.
fn holdsBytes(capacity: u32) u64 {
    return std.mem.alignForward(u64, @as(u64, capacity) * 2, cache_alignment);
}

const cache_alignment = 8;

/// User space of the narrowest supported machine: 47 bits. Beyond it no mapping can exist.
const address_space_bytes: u64 = 1 << 47;

pub fn compute(options: Options, page_size: u32) errors.Error!Geometry {
    if (options.capacity < 1 or options.capacity > words.capacity_max)
        return errors.fail(error.InvalidArgument, 0, "capacity {d}", .{options.capacity});
    if (options.buffer_size < 1)
        return errors.fail(error.InvalidArgument, 0, "buffer size 0", .{});
    if (options.participant_count < 1 or options.participant_count > layout.participants_max)
        return errors.fail(
            error.InvalidArgument,
            0,
            "max participants {d}",
            .{options.participant_count},
        );
    if (options.channel_count > layout.channels_max)
        return errors.fail(error.InvalidArgument, 0, "channels {d}", .{options.channel_count});

    // Every product below is under 2^60: 2^24 slots of at most 2^32 bytes are 2^56.
    const stride = std.mem.alignForward(u64, options.buffer_size, page_size);
    const participants_offset: u64 = @sizeOf(layout.Header);
    const slots_offset = std.mem.alignForward(
        u64,
        participants_offset + @as(u64, options.participant_count) * @sizeOf(layout.ParticipantRow),
        layout.section_alignment,
    );
    const hold_rows_offset = std.mem.alignForward(
        u64,
        slots_offset + @as(u64, options.capacity) * @sizeOf(layout.Slot),
        page_size,
    );
    const hold_row_stride = std.mem.alignForward(
        u64,
        holdsBytes(options.capacity) + layout.cached_slots_max * @sizeOf(u32),
        page_size,
    );
    // Pages are larger than that but where every step is explored.
    const channel_alignment = @max(page_size, layout.section_alignment);
    const channels_offset = std.mem.alignForward(
        u64,
        hold_rows_offset + options.participant_count * hold_row_stride,
        channel_alignment,
    );
    const channel_stride =
        std.mem.alignForward(u64, @sizeOf(layout.ChannelBlock), channel_alignment);
    const data_offset = channels_offset + options.channel_count * channel_stride;
    const total_size = data_offset + options.capacity * stride;
    if (total_size > address_space_bytes)
        return errors.fail(
            error.OutOfMemory,
            0,
            "{d} bytes do not fit the address space; " ++
                "make it with a smaller capacity or bufferSize",
            .{total_size},
        );
    return .{
        .capacity = options.capacity,
        .buffer_size = options.buffer_size,
        .participant_count = options.participant_count,
        .channel_count = options.channel_count,
        .page_size = page_size,
        .stride = stride,
        .participants_offset = participants_offset,
        .slots_offset = slots_offset,
        .hold_rows_offset = hold_rows_offset,
        .hold_row_stride = hold_row_stride,
        .channels_offset = channels_offset,
        .channel_stride = channel_stride,
        .data_offset = data_offset,
        .total_size = total_size,
    };
}

/// Puts every number of the geometry where the header has it.
pub fn describe(geometry: Geometry, identity: *layout.Identity) void {
    inline for (std.meta.fields(Geometry)) |field| {
        @field(identity, field.name) = @field(geometry, field.name);
    }
}

/// Checks an object of `file_size` bytes that claims to be a pool, and returns its geometry. The
/// identity is a copy: the object's owner may change the original meanwhile.
pub fn validate(
    identity: layout.Identity,
    file_size: u64,
    libc_kind: u32,
    page_size: u32,
) errors.Error!Geometry {
    if (identity.magic != layout.magic)
        return errors.fail(error.PoolCorrupt, 0, "it does not begin with xmem's magic number", .{});
    if (identity.version != layout.version)
        return errors.fail(
            error.VersionMismatch,
            0,
            "it has format version {d}, this library reads version {d}; " ++
                "use the same version of xmem everywhere, or unlink it once nobody uses it",
            .{ identity.version, layout.version },
        );
    if (identity.libc_kind != libc_kind)
        return errors.fail(
            error.VersionMismatch,
            0,
            "it was made by a {s} process, this is a {s} process, and their mutexes differ; " ++
                "run all of them on the same libc, or unlink it once nobody uses it",
            .{ libcName(identity.libc_kind), libcName(libc_kind) },
        );
    if (identity.layout_hash != digest.digest)
        return errors.fail(
            error.VersionMismatch,
            0,
            "it has layout {x:0>16}, this library has layout {x:0>16}; " ++
                "use the same build of xmem everywhere, or unlink it once nobody uses it",
            .{ identity.layout_hash, digest.digest },
        );
    if (identity.page_size != page_size)
        return errors.fail(
            error.VersionMismatch,
            0,
            "it was made for pages of {d} bytes, this machine has pages of {d}; " ++
                "unlink it and make a new one",
            .{ identity.page_size, page_size },
        );
    if (identity.buffer_size > std.math.maxInt(u32))
        return errors.fail(error.PoolCorrupt, 0, "its buffer size is {d}", .{identity.buffer_size});
    const geometry = compute(.{
        .capacity = identity.capacity,
        .buffer_size = @intCast(identity.buffer_size),
        .participant_count = identity.participant_count,
        .channel_count = identity.channel_count,
    }, page_size) catch
        return errors.fail(error.PoolCorrupt, 0, "its header holds impossible numbers", .{});
    inline for (std.meta.fields(Geometry)) |field| {
        if (@field(geometry, field.name) != @field(identity, field.name)) return errors.fail(
            error.PoolCorrupt,
            0,
            "its {s} is {d} and must be {d}",
            .{ field.name, @field(identity, field.name), @field(geometry, field.name) },
        );
    }
    if (file_size != geometry.total_size)
        return errors.fail(
            error.PoolCorrupt,
            0,
            "it has {d} bytes and must have {d}",
            .{ file_size, geometry.total_size },
        );
    return geometry;
}

fn libcName(kind: u32) []const u8 {
    return switch (kind) {
        1 => "glibc",
        2 => "musl",
        3 => "macOS",
        else => "foreign",
    };
}

test "sections follow each other without overlap" {
    const geometry = try compute(.{ .capacity = 5, .buffer_size = 5000 }, 4096);
    try std.testing.expectEqual(@as(u64, 8192), geometry.stride);
    try std.testing.expect(geometry.participants_offset >= @sizeOf(layout.Header));
    try std.testing.expect(geometry.slots_offset >=
        geometry.participants_offset + 64 * @sizeOf(layout.ParticipantRow));
    try std.testing.expect(geometry.hold_rows_offset >=
        geometry.slots_offset + 5 * @sizeOf(layout.Slot));
    try std.testing.expectEqual(
        geometry.hold_rows_offset + 64 * geometry.hold_row_stride,
        geometry.channels_offset,
    );
    try std.testing.expect(geometry.data_offset % 4096 == 0);
    try std.testing.expectEqual(geometry.data_offset + 5 * 8192, geometry.total_size);
}

test "what does not fit the address space is out of memory" {
    try std.testing.expectError(error.OutOfMemory, compute(.{
        .capacity = words.capacity_max,
        .buffer_size = std.math.maxInt(u32),
    }, 4096));
}

test "the largest capacity still computes" {
    const geometry = try compute(.{ .capacity = words.capacity_max, .buffer_size = 4096 }, 4096);
    try std.testing.expect(geometry.total_size > (1 << 36));
}

fn identityOf(geometry: Geometry) layout.Identity {
    var identity = std.mem.zeroes(layout.Identity);
    identity.magic = layout.magic;
    identity.version = layout.version;
    identity.libc_kind = 1;
    identity.layout_hash = digest.digest;
    describe(geometry, &identity);
    return identity;
}

test "a header is refused for each number that it must not have" {
    const geometry = try compute(.{ .capacity = 5, .buffer_size = 5000 }, 4096);
    const good = identityOf(geometry);
    const size = geometry.total_size;
    try std.testing.expectEqual(geometry, try validate(good, size, 1, 4096));
    const wrong = [_]struct { []const u8, errors.Error }{
        .{ "magic", error.PoolCorrupt },
        .{ "version", error.VersionMismatch },
        .{ "libc_kind", error.VersionMismatch },
        .{ "layout_hash", error.VersionMismatch },
        .{ "page_size", error.VersionMismatch },
        .{ "capacity", error.PoolCorrupt },
        .{ "buffer_size", error.PoolCorrupt },
        .{ "participant_count", error.PoolCorrupt },
        .{ "channel_count", error.PoolCorrupt },
        .{ "stride", error.PoolCorrupt },
        .{ "participants_offset", error.PoolCorrupt },
        .{ "slots_offset", error.PoolCorrupt },
        .{ "hold_rows_offset", error.PoolCorrupt },
        .{ "hold_row_stride", error.PoolCorrupt },
        .{ "channels_offset", error.PoolCorrupt },
        .{ "channel_stride", error.PoolCorrupt },
        .{ "data_offset", error.PoolCorrupt },
        .{ "total_size", error.PoolCorrupt },
    };
    inline for (wrong) |case| {
        const name, const expected = case;
        inline for (.{ 0, 1 << 40 }) |rubbish| {
            var identity = good;
            @field(identity, name) = @truncate(@as(u64, rubbish));
            try std.testing.expectError(expected, validate(identity, size, 1, 4096));
        }
    }
    try std.testing.expectError(error.PoolCorrupt, validate(good, size - 1, 1, 4096));
    try std.testing.expectError(error.VersionMismatch, validate(good, size, 2, 4096));
    try std.testing.expectError(error.VersionMismatch, validate(good, size, 1, 65_536));
}

test "options out of range are refused" {
    const refused = [_]Options{
        .{ .capacity = 0 },
        .{ .capacity = words.capacity_max + 1 },
        .{ .buffer_size = 0 },
        .{ .participant_count = 0 },
        .{ .participant_count = layout.participants_max + 1 },
        .{ .channel_count = layout.channels_max + 1 },
    };
    for (refused) |options|
        try std.testing.expectError(error.InvalidArgument, compute(options, 4096));
}
