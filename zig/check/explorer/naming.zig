//! The name of the pool in a model: it leads to the pool, to a newer one that somebody made under
//! the same name, or nowhere. The steps of `remove` are those of `system/removal.zig`: a look, the
//! lock on the object that the name led to, another look, the removal. `create` makes a name only
//! where there is none, as the kernel does.

const atomic = @import("hooks");
const errors = @import("core").errors;
const fiber = @import("fiber.zig");
const oracle = @import("oracle.zig");
const state = @import("state.zig");

const Error = errors.Error;

pub const nowhere: u32 = 0;
pub const to_pool: u32 = 1;
pub const to_newer: u32 = 2;

pub const Name = struct {
    me: u8,
    /// A user asks for it, whoever has the pool open.
    by_hand: bool = false,

    /// If somebody else has the lock it fails at once, and the name stays, as in a folder in which
    /// nobody may remove names. It returns an error that nothing else here returns.
    pub fn remove(name: Name) Error!bool {
        if (!name.leadsHere()) return false;
        const locked = !atomic.broken(.name_unlocked);
        const owner: u32 = name.me + 1;
        if (locked and !atomic.cas(u32, &state.now.name_lock, 0, owner, .acq_rel))
            return error.PermissionDenied;
        defer if (locked) atomic.store(u32, &state.now.name_lock, 0, .release);
        if (locked and !name.leadsHere()) return false;
        fiber.pause(.store, @intFromPtr(&state.now.name), nowhere);
        if (state.now.name == nowhere) return false;
        oracle.beforeNameGoes(name.by_hand);
        state.now.name = nowhere;
        return true;
    }

    pub fn leadsHere(name: Name) bool {
        _ = name;
        return atomic.load(u32, &state.now.name, .acquire) == to_pool;
    }

    /// A pool that nobody ever closes.
    pub fn create(name: Name) bool {
        _ = name;
        return atomic.cas(u32, &state.now.name, nowhere, to_newer, .acq_rel);
    }
};
