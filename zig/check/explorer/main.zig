//! The explorer's command: `explorer [PROGRAM ...] [--set small|medium|large]
//! [--canary RULE | --canaries] [--states MAX] [--replay CHOICES] [--list]`. Each program is
//! explored to its end; a line says how many states and transitions that were. Exit code 1:
//! something was found, or a canary was not.

const std = @import("std");
const access = @import("access.zig");
const choices = @import("choices.zig");
const fiber = @import("fiber.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const search = @import("search.zig");
const state = @import("state.zig");
const trace = @import("trace.zig");
const Canary = @import("hooks").Canary;

const print = trace.print;

const Options = struct {
    names: [64][]const u8 = undefined,
    name_count: usize = 0,
    set: ?[]const u8 = null,
    canary: Canary = .none,
    canaries: bool = false,
    list: bool = false,
    states_max: u64 = std.math.maxInt(u64),
    replay: ?[]const u8 = null,

    fn wants(options: *const Options, program: *const programs.Program) bool {
        if (options.set) |set| if (!std.mem.eql(u8, set, @tagName(program.set))) return false;
        if (options.name_count == 0) return true;
        for (options.names[0..options.name_count]) |name| {
            if (std.mem.eql(u8, name, program.name)) return true;
        }
        return false;
    }
};

pub fn fell(message: []const u8, _: ?usize) noreturn {
    @branchHint(.cold);
    if (fiber.current != state.outside and !fiber.direct) {
        oracle.report(message);
        fiber.escape();
    }
    print("explore: {s}\n", .{message});
    std.c._exit(3);
}

pub fn main(argv: []const [*:0]const u8) u8 {
    var options: Options = .{};
    parse(argv, &options) catch |err| {
        print("explore: {s}\n", .{@errorName(err)});
        return 2;
    };
    var bad: u32 = 0;
    var ran: u32 = 0;
    for (&programs.all) |*program| {
        if (!options.wants(program)) continue;
        ran += 1;
        programs.current = program.*;
        if (options.list) {
            print("{s}\n", .{program.name});
        } else if (options.replay) |text| {
            access.breakRule(options.canary);
            bad += @intFromBool(!replayText(text));
        } else if (options.canaries) {
            for (program.catches) |canary| bad += @intFromBool(!catches(canary, &options));
        } else {
            bad += @intFromBool(!passes(&options));
        }
    }
    if (ran == 0) print("explore: no such program\n", .{});
    return if (bad > 0 or ran == 0) 1 else 0;
}

fn parse(argv: []const [*:0]const u8, options: *Options) !void {
    var place: usize = 1;
    while (place < argv.len) : (place += 1) {
        const argument = std.mem.span(argv[place]);
        if (!std.mem.startsWith(u8, argument, "--")) {
            options.names[options.name_count] = argument;
            options.name_count += 1;
            continue;
        }
        const name = argument[2..];
        if (std.mem.eql(u8, name, "canaries")) {
            options.canaries = true;
            continue;
        }
        if (std.mem.eql(u8, name, "list")) {
            options.list = true;
            continue;
        }
        place += 1;
        if (place == argv.len) return error.ValueMissing;
        const value = std.mem.span(argv[place]);
        if (std.mem.eql(u8, name, "set")) {
            options.set = value;
        } else if (std.mem.eql(u8, name, "canary")) {
            options.canary = std.meta.stringToEnum(Canary, value) orelse return error.NoSuchCanary;
        } else if (std.mem.eql(u8, name, "states")) {
            options.states_max = try std.fmt.parseInt(u64, value, 10);
        } else if (std.mem.eql(u8, name, "replay")) {
            options.replay = value;
        } else return error.NoSuchOption;
    }
}

fn passes(options: *const Options) bool {
    access.breakRule(options.canary);
    const result = search.run(options.states_max);
    const ok = result.violation == null;
    report(if (ok) "ok" else "FAILED", result);
    if (!ok) explain(result.violation.?);
    return ok;
}

fn catches(canary: Canary, options: *const Options) bool {
    access.breakRule(canary);
    const result = search.run(options.states_max);
    const ok = result.violation != null;
    const verdict = if (ok) "ok" else "FAILED";
    const negation = if (ok) "" else "not ";
    print("{s}: {s} is {s}caught", .{ verdict, @tagName(canary), negation });
    const name = programs.current.name;
    print(" by \"{s}\", {d} states, {d:.2} s", .{ name, result.states, result.seconds });
    print("{s}{s}\n", .{ if (ok) ": " else "", result.violation orelse "" });
    return ok;
}

fn report(verdict: []const u8, result: search.Result) void {
    print("{s}: \"{s}\": {d} states, {d} transitions, {d} ends, depth {d}, {d:.2} s{s}\n", .{
        verdict,
        programs.current.name,
        result.states,
        result.transitions,
        result.ends,
        result.depth_max,
        result.seconds,
        if (result.complete) "" else " (cut off)",
    });
}

var path: [1 << 14]choices.Choice = undefined;

/// Prints the way to the violation, step by step, and as the argument of `--replay`.
pub fn explain(violation: []const u8) void {
    const taken = search.path(&path);
    print("{s}\n", .{violation});
    trace.replay(taken);
    print("--replay ", .{});
    var place: usize = 0;
    while (place < taken.len) {
        const choice = taken[place];
        var times: usize = 1;
        while (place + times < taken.len and std.meta.eql(taken[place + times], choice)) times += 1;
        print("{d}.{d}.{d}x{d},", .{ @intFromEnum(choice.kind), choice.who, choice.what, times });
        place += times;
    }
    print("\n", .{});
}

fn replayText(text: []const u8) bool {
    var count: usize = 0;
    var each = std.mem.tokenizeScalar(u8, text, ',');
    while (each.next()) |one| {
        var numbers = std.mem.tokenizeAny(u8, one, ".x");
        var parsed: [4]u16 = undefined;
        for (&parsed) |*number| number.* =
            std.fmt.parseInt(u16, numbers.next() orelse return false, 10) catch return false;
        for (0..parsed[3]) |_| {
            path[count] = .{
                .kind = std.enums.fromInt(choices.Kind, parsed[0]) orelse return false,
                .who = @intCast(parsed[1]),
                .what = @intCast(parsed[2]),
            };
            count += 1;
        }
    }
    trace.replay(path[0..count]);
    return oracle.violation == null;
}
