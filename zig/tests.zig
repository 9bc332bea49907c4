//! The root of the unit tests: every file of the core, so that a test runs where it stands.

const builtin = @import("builtin");

comptime {
    if (builtin.sanitize_thread) @export(&sanitizerOptions, .{ .name = "__tsan_default_options" });
}

/// Tests misuse mutexes on purpose, and dead threads leave them locked: ThreadSanitizer reports
/// data races here, and keeps its opinion of mutexes to itself.
fn sanitizerOptions() callconv(.c) [*:0]const u8 {
    return "report_mutex_bugs=0:atexit_sleep_ms=0";
}

test {
    _ = @import("abandoned.zig");
    _ = @import("abi.zig");
    _ = @import("acquire.zig");
    _ = @import("constants.zig");
    _ = @import("damage.zig");
    _ = @import("description.zig");
    _ = @import("descriptor.zig");
    _ = @import("errors.zig");
    _ = @import("filling.zig");
    _ = @import("free_list.zig");
    _ = @import("commitment.zig");
    _ = @import("maintained.zig");
    _ = @import("trim.zig");
    _ = @import("work.zig");
    _ = @import("geometry.zig");
    _ = @import("layout.zig");
    _ = @import("maintenance.zig");
    _ = @import("membership.zig");
    _ = @import("names.zig");
    _ = @import("participant.zig");
    _ = @import("pool.zig");
    _ = @import("recovery.zig");
    _ = @import("references.zig");
    _ = @import("statistics.zig");
    _ = @import("thaw.zig");
    _ = @import("views.zig");
    _ = @import("waiter_thread.zig");
    _ = @import("waiting.zig");
    _ = @import("words.zig");
    _ = @import("system/clock.zig");
    _ = @import("system/futex.zig");
    _ = @import("system/memory.zig");
    _ = @import("system/object.zig");
    _ = @import("system/robust_mutex.zig");
    _ = @import("system/thread.zig");
    _ = @import("system/ticker.zig");
}
