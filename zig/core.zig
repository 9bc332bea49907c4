//! The core, layer by layer, for the programs that check it. A layer may import those above it in
//! this file, and itself. `hooks/` is a module that `build.zig` chooses.

/// The codes that a failed call returns, and what more it has to say.
pub const errors = @import("errors.zig");

/// The only calls of the operating system.
pub const system = struct {
    pub const clock = @import("system/clock.zig");
    pub const door = @import("system/door.zig");
    pub const draft = @import("system/draft.zig");
    pub const file_call = @import("system/file_call.zig");
    pub const file_status = @import("system/file_status.zig");
    pub const folder = @import("system/folder.zig");
    pub const futex = @import("system/futex.zig");
    pub const memory = @import("system/memory.zig");
    pub const object = @import("system/object.zig");
    pub const object_name = @import("system/object_name.zig");
    pub const published = @import("system/published.zig");
    pub const random = @import("system/random.zig");
    pub const removal = @import("system/removal.zig");
    pub const robust_mutex = @import("system/robust_mutex.zig");
    pub const testing_folder = @import("system/testing_folder.zig");
    pub const testing_os = @import("system/testing_os.zig");
    pub const thread = @import("system/thread.zig");
    pub const ticker = @import("system/ticker.zig");
    pub const trust = @import("system/trust.zig");
    pub const window = @import("system/window.zig");
};

/// What lies in shared memory: the wire format, all of it.
pub const format = struct {
    pub const digest = @import("format/digest.zig");
    pub const new_object = @import("format/new_object.zig");
    pub const geometry = @import("format/geometry.zig");
    pub const layout = @import("format/layout.zig");
    pub const words = @import("format/words.zig");
};

/// What participants do to it, and how they mend it.
pub const protocol = struct {
    pub const deaths = @import("protocol/deaths.zig");
    pub const gate = @import("protocol/gate.zig");
    pub const memory_work = @import("protocol/memory_work.zig");
    pub const occupancy = @import("protocol/occupancy.zig");
    pub const participant = @import("protocol/participant.zig");
    pub const place = @import("protocol/place.zig");
    pub const slots = @import("protocol/slots.zig");
    pub const statistics = @import("protocol/statistics.zig");

    pub const recovery = struct {
        pub const damage = @import("protocol/recovery/damage.zig");
        pub const membership = @import("protocol/recovery/membership.zig");
        pub const names = @import("protocol/recovery/names.zig");
        pub const phases = @import("protocol/recovery/phases.zig");
        pub const recovery = @import("protocol/recovery/recovery.zig");
        pub const sections = @import("protocol/recovery/sections.zig");
        pub const thaw = @import("protocol/recovery/thaw.zig");
    };

    pub const waiting = struct {
        pub const blocking = @import("protocol/waiting/blocking.zig");
        pub const waiter = @import("protocol/waiting/waiter.zig");
        pub const waker = @import("protocol/waiting/waker.zig");
    };

    pub const pool = struct {
        pub const acquire = @import("protocol/pool/acquire.zig");
        pub const commitment = @import("protocol/pool/commitment.zig");
        pub const content = @import("protocol/pool/content.zig");
        pub const flush = @import("protocol/pool/flush.zig");
        pub const cache = @import("protocol/pool/cache.zig");
        pub const free_list = @import("protocol/pool/free_list.zig");
        pub const lease = @import("protocol/pool/lease.zig");
        pub const losses = @import("protocol/pool/losses.zig");
        pub const maintained_slots = @import("protocol/pool/maintained_slots.zig");
        pub const preallocate = @import("protocol/pool/preallocate.zig");
        pub const references = @import("protocol/pool/references.zig");
        pub const section = @import("protocol/pool/section.zig");
        pub const transitions = @import("protocol/pool/transitions.zig");
        pub const trim = @import("protocol/pool/trim.zig");
        pub const waiting = @import("protocol/pool/waiting.zig");
    };

    pub const channel = struct {
        pub const broadcast = @import("protocol/channel/broadcast.zig");
        pub const channel = @import("protocol/channel/channel.zig");
        pub const directory = @import("protocol/channel/directory.zig");
        pub const ends = @import("protocol/channel/ends.zig");
        pub const redelivery = @import("protocol/channel/redelivery.zig");
        pub const ring = @import("protocol/channel/ring.zig");
        pub const section = @import("protocol/channel/section.zig");
        pub const sending = @import("protocol/channel/sending.zig");
        pub const statistics = @import("protocol/channel/statistics.zig");
    };
};

/// What one process keeps of the pools that it has open.
pub const process = struct {
    pub const abandoned = @import("process/abandoned.zig");
    pub const async_wait = @import("process/async_wait.zig");
    pub const closing = @import("process/closing.zig");
    pub const creating = @import("process/creating.zig");
    pub const descriptor = @import("process/descriptor.zig");
    pub const event_loop = @import("process/event_loop.zig");
    pub const exit_and_fork = @import("process/exit_and_fork.zig");
    pub const holds = @import("process/holds.zig");
    pub const info = @import("process/info.zig");
    pub const mapping = @import("process/mapping.zig");
    pub const member = @import("process/member.zig");
    pub const observing = @import("process/observing.zig");
    pub const open_pool = @import("process/open_pool.zig");
    pub const opening = @import("process/opening.zig");
    pub const options = @import("process/options.zig");
    pub const pool_name = @import("process/pool_name.zig");
    pub const traces = @import("process/traces.zig");
    pub const requests = @import("process/requests.zig");
    pub const views = @import("process/views.zig");
    pub const waiter_thread = @import("process/waiter_thread.zig");
};

/// The exported symbols, and the numbers that other languages share with the core.
pub const abi = struct {
    pub const bun = @import("abi/bun.zig");
    pub const bun_channels = @import("abi/bun_channels.zig");
    pub const bun_looking = @import("abi/bun_looking.zig");
    pub const c = @import("abi/c.zig");
    pub const constants = @import("abi/constants.zig");
    pub const hold_result = @import("abi/hold_result.zig");
};
