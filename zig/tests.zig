//! The root of the unit tests: every file of the core that has some, or may have. A test finds the
//! files that are missing here.

const builtin = @import("builtin");

comptime {
    if (builtin.sanitize_thread) @export(&sanitizerOptions, .{ .name = "__tsan_default_options" });
}

/// Tests misuse mutexes on purpose, and dead threads leave them locked. So ThreadSanitizer reports
/// data races here, and no misused mutexes.
fn sanitizerOptions() callconv(.c) [*:0]const u8 {
    return "report_mutex_bugs=0:atexit_sleep_ms=0";
}

test {
    _ = @import("abi/bun.zig");
    _ = @import("abi/c.zig");
    _ = @import("abi/c/call.zig");
    _ = @import("abi/c/reasons.zig");
    _ = @import("abi/constants.zig");
    _ = @import("abi/generate/declarations.zig");
    _ = @import("abi/generate/typescript.zig");
    _ = @import("abi/numbers.zig");
    _ = @import("errors.zig");
    _ = @import("format/digest.zig");
    _ = @import("format/new_object.zig");
    _ = @import("format/geometry.zig");
    _ = @import("format/layout.zig");
    _ = @import("format/words.zig");
    _ = @import("process/abandoned.zig");
    _ = @import("process/async_wait.zig");
    _ = @import("process/closing.zig");
    _ = @import("process/creating.zig");
    _ = @import("process/damage_test.zig");
    _ = @import("process/descriptor.zig");
    _ = @import("process/event_loop.zig");
    _ = @import("process/exit_and_fork.zig");
    _ = @import("process/holds.zig");
    _ = @import("process/info.zig");
    _ = @import("process/mapping.zig");
    _ = @import("process/member.zig");
    _ = @import("process/messages.zig");
    _ = @import("process/observing.zig");
    _ = @import("process/open_pool.zig");
    _ = @import("process/opening.zig");
    _ = @import("process/options.zig");
    _ = @import("process/pool_name.zig");
    _ = @import("process/readiness.zig");
    _ = @import("process/traces.zig");
    _ = @import("process/requests.zig");
    _ = @import("process/views.zig");
    _ = @import("process/waiter_thread.zig");
    _ = @import("protocol/channel/broadcast.zig");
    _ = @import("protocol/channel/channel.zig");
    _ = @import("protocol/channel/directory.zig");
    _ = @import("protocol/channel/ends.zig");
    _ = @import("protocol/channel/redelivery.zig");
    _ = @import("protocol/channel/returning.zig");
    _ = @import("protocol/channel/ring.zig");
    _ = @import("protocol/channel/section.zig");
    _ = @import("protocol/channel/sending.zig");
    _ = @import("protocol/channel/statistics.zig");
    _ = @import("protocol/deaths.zig");
    _ = @import("protocol/gate.zig");
    _ = @import("protocol/memory_work.zig");
    _ = @import("protocol/occupancy.zig");
    _ = @import("protocol/owner.zig");
    _ = @import("protocol/participant.zig");
    _ = @import("protocol/place.zig");
    _ = @import("protocol/pool/acquire.zig");
    _ = @import("protocol/pool/commitment.zig");
    _ = @import("protocol/pool/content.zig");
    _ = @import("protocol/pool/flush.zig");
    _ = @import("protocol/pool/cache.zig");
    _ = @import("protocol/pool/free_list.zig");
    _ = @import("protocol/pool/lease.zig");
    _ = @import("protocol/pool/losses.zig");
    _ = @import("protocol/pool/maintained_slots.zig");
    _ = @import("protocol/pool/preallocate.zig");
    _ = @import("protocol/pool/references.zig");
    _ = @import("protocol/pool/section.zig");
    _ = @import("protocol/pool/transitions.zig");
    _ = @import("protocol/pool/trim.zig");
    _ = @import("protocol/pool/waiting.zig");
    _ = @import("protocol/recovery/damage.zig");
    _ = @import("protocol/recovery/membership.zig");
    _ = @import("protocol/recovery/names.zig");
    _ = @import("protocol/recovery/phases.zig");
    _ = @import("protocol/recovery/recovery.zig");
    _ = @import("protocol/recovery/sections.zig");
    _ = @import("protocol/recovery/thaw.zig");
    _ = @import("protocol/slots.zig");
    _ = @import("protocol/statistics.zig");
    _ = @import("protocol/waiting/blocking.zig");
    _ = @import("protocol/waiting/waiter.zig");
    _ = @import("protocol/waiting/waker.zig");
    _ = @import("system/clock.zig");
    _ = @import("system/draft.zig");
    _ = @import("system/file_call.zig");
    _ = @import("system/file_status.zig");
    _ = @import("system/folder.zig");
    _ = @import("system/futex.zig");
    _ = @import("system/memory.zig");
    _ = @import("system/object.zig");
    _ = @import("system/object_name.zig");
    _ = @import("system/random.zig");
    _ = @import("system/removal.zig");
    _ = @import("system/robust_mutex.zig");
    _ = @import("system/stream_end.zig");
    _ = @import("system/thread.zig");
    _ = @import("system/ticker.zig");
    _ = @import("system/trust.zig");
    _ = @import("system/window.zig");
}
