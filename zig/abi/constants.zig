//! Every number that TypeScript shares with the core, by name: written to
//! src/generated/constants.gen.ts when the library is built, and compared with the loaded library
//! by a test.

const std = @import("std");
const channels = @import("bun_channels.zig");
const channel_statistics = @import("../protocol/channel/statistics.zig");
const deaths = @import("../protocol/deaths.zig");
const description = @import("../protocol/pool/content.zig");
const descriptor = @import("../process/descriptor.zig");
const errors = @import("../errors.zig");
const info = @import("../process/info.zig");
const layout = @import("../format/layout.zig");
const object_name = @import("../system/object_name.zig");
const occupancy = @import("../protocol/occupancy.zig");
const options = @import("../process/options.zig");
const participant_file = @import("../protocol/participant.zig");
const readiness = @import("../process/readiness.zig");
const slots = @import("../protocol/slots.zig");
const statistics = @import("../protocol/statistics.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const traces = @import("../process/traces.zig");
const wait_any = @import("../process/wait_any.zig");
const words = @import("../format/words.zig");

pub const Constant = struct { name: []const u8, value: f64 };

const Reclaim = enum { PARTICIPANTS, REFERENCES, BUFFERS, DEFERRED };
pub const reclaim_count = std.meta.fields(Reclaim).len;

pub const all = numbers("ERROR_", errors.Code, false) ++
    numbers("HOW_", options.How, false) ++
    numbers("OPTION_", options.Option, true) ++
    numbers("INFO_", info.Info, true) ++
    numbers("STAT_", statistics.Stat, true) ++
    numbers("PARTICIPANT_", statistics.ParticipantField, true) ++
    numbers("DEATHS_", deaths.Field, true) ++
    numbers("SLOT_", slots.Field, true) ++
    numbers("RECLAIM_", Reclaim, true) ++
    numbers("OCCUPANCY_", occupancy.Field, true) ++
    numbers("CHANNEL_OPTION_", channels.Option, true) ++
    numbers("CHANNEL_INFO_", channels.Info, true) ++
    numbers("CHANNEL_STAT_", channel_statistics.Stat, true) ++
    numbers("CHANNEL_SUBSCRIBER_", channel_statistics.SubscriberField, true) ++
    numbers("CHANNEL_END_", channels.End, false) ++
    numbers("LETTER_", words.Letter, false) ++
    numbers("CHANNEL_MODE_", words.ChannelMode, false) ++
    numbers("CHANNEL_OVERFLOW_", words.ChannelOverflow, false) ++
    numbers("META_", description.Number, false) ++
    numbers("META_", description.Dims, false) ++
    numbers("META_", description.Text, false) ++
    numbers("DTYPE_", description.DType, false) ++
    [_]Constant{
        .{ .name = "LIMIT_CAPACITY", .value = words.capacity_max },
        .{ .name = "LIMIT_PARTICIPANTS", .value = layout.participants_max },
        .{ .name = "STREAM_UNIT", .value = readiness.unit },
        .{ .name = "STREAM_UNITS_MAX", .value = readiness.units_max },
        .{ .name = "LIMIT_LOCAL_CACHE", .value = layout.cached_slots_max },
        .{ .name = "LIMIT_CHANNELS", .value = layout.channels_max },
        .{ .name = "CHANNEL_NONE", .value = channels.channel_none },
        .{ .name = "CHANNEL_MESSAGE", .value = channels.channel_message },
        .{ .name = "LIMIT_WAIT_SOURCES", .value = wait_any.sources_max },
        .{ .name = "REPLY_NAME_ROOM", .value = channels.reply_name_room },
        .{ .name = "LIMIT_CHANNEL_CAPACITY", .value = layout.channel_cells_max },
        .{ .name = "LIMIT_CHANNEL_NAME_BYTES", .value = layout.channel_name_bytes_max },
        .{
            .name = "LIMIT_CHANNEL_SUBSCRIBERS",
            .value = layout.channel_subscribers_max,
        },
        .{ .name = "CHANNEL_NAME_ROOM", .value = channel_statistics.name_room },
        .{ .name = "LIMIT_REFERENCES", .value = words.references_max },
        .{ .name = "LIMIT_DESCRIPTORS", .value = descriptor.descriptors_max },
        .{ .name = "LIMIT_MADE_STRIDE", .value = descriptor.made_stride },
        .{ .name = "LIMIT_NAME_BYTES", .value = object_name.length_max },
        .{ .name = "LIMIT_TEXT_BYTES", .value = layout.text_bytes_max },
        .{ .name = "LIMIT_DIMENSIONS", .value = layout.dimensions_max },
        .{ .name = "LIMIT_MODE", .value = 0o777 },
        .{ .name = "PARTICIPANT_NAME_ROOM", .value = participant_file.name_room },
        .{ .name = "PATIENCE_UNTIMED_MS", .value = thaw.patience_untimed_ns / std.time.ns_per_ms },
        .{ .name = "SLOT_TEXTS_ROOM", .value = slots.texts_room },
        .{ .name = "TRACE_RECORD_BYTES", .value = traces.record_bytes },
        .{ .name = "TRACE_TEXT_BYTES", .value = traces.text_bytes_max },
        .{ .name = "TRACE_RECORDS", .value = traces.records_max },
        .{ .name = "INDEX_COUNT", .value = 1 << 24 },
        .{ .name = "FORMAT_VERSION", .value = layout.version },
        .{ .name = "SIZE_MUTEX", .value = @offsetOf(layout.ParticipantRow, "pid") },
        .{ .name = "SIZE_ROW", .value = @sizeOf(layout.ParticipantRow) },
        .{ .name = "SIZE_SLOT", .value = @sizeOf(layout.Slot) },
    } ++
    offsets("AT_IDENTITY_", layout.Identity, 0) ++
    offsets("AT_HOT_", layout.Hot, @offsetOf(layout.Header, "hot")) ++
    offsets("AT_REPAIR_", layout.Repair, @offsetOf(layout.Header, "repair")) ++
    offsets("AT_ROW_", layout.ParticipantRow, 0) ++
    offsets("AT_SLOT_", layout.Slot, 0);

/// Where each field lies, for tools that look at an object from outside: in the header from its
/// beginning, in a row or slot from that one's.
fn offsets(
    comptime prefix: []const u8,
    comptime Struct: type,
    comptime base: u64,
) [std.meta.fields(Struct).len]Constant {
    @setEvalBranchQuota(100_000);
    const fields = std.meta.fields(Struct);
    var made: [fields.len]Constant = undefined;
    for (fields, 0..) |field, place| {
        const offset = base + @offsetOf(Struct, field.name);
        made[place] = .{ .name = prefix ++ upper(field.name), .value = offset };
    }
    return made;
}

fn numbers(
    comptime prefix: []const u8,
    comptime Enum: type,
    comptime counted: bool,
) [std.meta.fields(Enum).len + @intFromBool(counted)]Constant {
    @setEvalBranchQuota(100_000);
    const fields = std.meta.fields(Enum);
    var made: [fields.len + @intFromBool(counted)]Constant = undefined;
    for (fields, 0..) |field, place| {
        made[place] = .{ .name = prefix ++ upper(field.name), .value = field.value };
    }
    if (counted) made[fields.len] = .{ .name = prefix ++ "COUNT", .value = fields.len };
    return made;
}

fn upper(comptime name: []const u8) []const u8 {
    comptime {
        var copy: [name.len]u8 = undefined;
        _ = std.ascii.upperString(&copy, name);
        const made = copy;
        return &made;
    }
}
