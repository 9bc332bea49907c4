//! The corruption fuzzer of the core: damages the control area of small pools, and runs every
//! operation of the C interface on them. Each must return in bounded time, with a result or a
//! public error; a fault, a failed safety check and a hang are findings. Cases run in child
//! processes, so that a finding is reported, by seed and case, and the rest goes on.
//!
//! Arguments: --cases N --seed S --first CASE --jobs J --watchdog-ms MS --findings-max N --verbose

const std = @import("std");
const case_file = @import("case_fuzz.zig");
const operation_file = @import("operation_fuzz.zig");
const system = @import("core").system.door;

const Progress = operation_file.Progress;

extern "c" fn fork() std.c.pid_t;

const Arguments = struct {
    cases: u64 = 1000,
    seed: u64 = 1,
    first: u64 = 0,
    jobs: u32 = 2,
    @"watchdog-ms": u64 = 10_000,
    @"findings-max": u32 = 10,
    verbose: u32 = 0,
};

const jobs_max = 64;
/// A new process now and then, so that what one case left in it does not affect all later ones.
const batch_cases = 2000;

pub fn main(init: std.process.Init.Minimal) !void {
    const arguments = try parse(init);
    const shared = try sharedProgress();
    var runner: Runner = .{ .arguments = arguments, .shared = shared };
    runner.run();
    runner.report();
    std.c._exit(if (runner.faults + runner.hangs + runner.failures == 0) 0 else 1);
}

fn parse(init: std.process.Init.Minimal) !Arguments {
    var arguments: Arguments = .{};
    var iterator = init.args.iterate();
    _ = iterator.skip();
    outer: while (iterator.next()) |argument| {
        inline for (std.meta.fields(Arguments)) |field| {
            if (std.mem.eql(u8, argument, "--" ++ field.name)) {
                const value = iterator.next() orelse return error.MissingValue;
                @field(arguments, field.name) = try std.fmt.parseInt(field.type, value, 10);
                continue :outer;
            }
        }
        std.debug.print("unknown argument {s}\n", .{argument});
        return error.UnknownArgument;
    }
    if (arguments.jobs < 1 or arguments.jobs > jobs_max) return error.Jobs;
    return arguments;
}

fn sharedProgress() !*[jobs_max]Progress {
    const flags: std.c.MAP = .{ .TYPE = .SHARED, .ANONYMOUS = true };
    const length = @sizeOf([jobs_max]Progress);
    const base = std.c.mmap(null, length, .{ .READ = true, .WRITE = true }, flags, -1, 0);
    if (@intFromPtr(base) == std.math.maxInt(usize)) return error.OutOfMemory;
    const progress: *[jobs_max]Progress = @ptrCast(@alignCast(base));
    progress.* = @splat(.{});
    return progress;
}

const Job = struct {
    pid: std.c.pid_t = 0,
    /// One past the last case of its batch.
    end: u64 = 0,
    step_seen: u64 = 0,
    moved_at_ns: u64 = 0,
};

const Runner = struct {
    arguments: Arguments,
    shared: *[jobs_max]Progress,
    jobs: [jobs_max]Job = @splat(.{}),
    next: u64 = 0,
    faults: u32 = 0,
    hangs: u32 = 0,
    failures: u32 = 0,

    fn run(runner: *Runner) void {
        var running: u32 = 0;
        for (0..runner.arguments.jobs) |place| {
            if (runner.startBatch(place)) running += 1;
        }
        while (running > 0) {
            pause();
            for (0..runner.arguments.jobs) |place| {
                if (runner.jobs[place].pid == 0) continue;
                if (runner.look(place)) running -= 1;
            }
        }
    }

    fn startBatch(runner: *Runner, place: usize) bool {
        const left = runner.arguments.cases - runner.next;
        if (left == 0 or runner.findings() >= runner.arguments.@"findings-max") return false;
        const count = @min(batch_cases, left);
        const first = runner.arguments.first + runner.next;
        runner.next += count;
        runner.jobs[place].end = first + count;
        return runner.startAt(place, first);
    }

    fn startAt(runner: *Runner, place: usize, first: u64) bool {
        const job = &runner.jobs[place];
        const progress = &runner.shared[place];
        progress.case = first;
        progress.done = 0;
        const pid = fork();
        if (pid < 0) return false;
        if (pid == 0) {
            for (first..job.end) |number| {
                @atomicStore(u64, &progress.case, number, .monotonic);
                case_file.run(.{
                    .seed = runner.arguments.seed,
                    .number = number,
                    .verbose = runner.arguments.verbose != 0,
                    .progress = progress,
                });
            }
            progress.done = 1;
            std.c._exit(0);
        }
        job.pid = pid;
        job.step_seen = 0;
        job.moved_at_ns = system.clock.monotonicNs();
        return true;
    }

    /// True when this job has come to its end.
    fn look(runner: *Runner, place: usize) bool {
        const job = &runner.jobs[place];
        const progress = &runner.shared[place];
        var status: c_int = 0;
        if (std.c.waitpid(job.pid, &status, std.c.W.NOHANG) != job.pid) {
            runner.watch(job, progress);
            return false;
        }
        removeObject(job.pid, progress.case);
        job.pid = 0;
        const case = progress.case;
        if (progress.done == 0) runner.finding(@bitCast(status), progress);
        if (progress.done == 0 and case + 1 < job.end and
            runner.findings() < runner.arguments.@"findings-max")
        {
            return !runner.startAt(place, case + 1);
        }
        return !runner.startBatch(place);
    }

    fn watch(runner: *Runner, job: *Job, progress: *Progress) void {
        const step = @atomicLoad(u64, &progress.step, .monotonic);
        const now_ns = system.clock.monotonicNs();
        if (step != job.step_seen) {
            job.step_seen = step;
            job.moved_at_ns = now_ns;
            return;
        }
        const patience_ns = runner.arguments.@"watchdog-ms" * std.time.ns_per_ms;
        if (now_ns - job.moved_at_ns < patience_ns) return;
        _ = std.c.kill(job.pid, .KILL);
        // Only once: the next look finds it dead.
        job.moved_at_ns = now_ns;
    }

    fn finding(runner: *Runner, status: u32, progress: *const Progress) void {
        const signal = status & 0x7f;
        const kind = if (signal == @intFromEnum(std.c.SIG.KILL)) kind: {
            runner.hangs += 1;
            break :kind "HANG";
        } else if (signal != 0) kind: {
            runner.faults += 1;
            break :kind "FAULT";
        } else kind: {
            runner.failures += 1;
            break :kind "FAILURE";
        };
        const operation: operation_file.Operation = @enumFromInt(progress.operation);
        std.debug.print("{s}: seed {d} case {d}, in {t}, signal {d}, exit {d}\n", .{
            kind,      runner.arguments.seed, progress.case,
            operation, signal,                (status >> 8) & 0xff,
        });
    }

    fn findings(runner: *const Runner) u32 {
        return runner.faults + runner.hangs + runner.failures;
    }

    fn report(runner: *const Runner) void {
        var sum: Progress = .{};
        for (runner.shared[0..runner.arguments.jobs]) |*progress| {
            sum.operations += progress.operations;
            sum.succeeded += progress.succeeded;
            sum.refused += progress.refused;
            sum.usable += progress.usable;
            sum.still_corrupt += progress.still_corrupt;
            sum.guarded += progress.guarded;
            if (progress.slowest_ns > sum.slowest_ns) {
                sum.slowest_ns = progress.slowest_ns;
                sum.slowest_operation = progress.slowest_operation;
                sum.slowest_case = progress.slowest_case;
            }
        }
        const slowest: operation_file.Operation = @enumFromInt(sum.slowest_operation);
        std.debug.print(
            "core: {d} cases from {d}, seed {d}: {d} operations, {d} results, {d} refusals; " ++
                "usable {d} times, corrupt {d}; {d} guarded; slowest {d} ms ({t}, case {d}); " ++
                "{d} faults, {d} hangs, {d} failures\n",
            .{
                runner.next,                         runner.arguments.first, runner.arguments.seed,
                sum.operations,                      sum.succeeded,          sum.refused,
                sum.usable,                          sum.still_corrupt,      sum.guarded,
                sum.slowest_ns / std.time.ns_per_ms, slowest,                sum.slowest_case,
                runner.faults,                       runner.hangs,           runner.failures,
            },
        );
    }
};

fn pause() void {
    const time: std.c.timespec = .{ .sec = 0, .nsec = 2 * std.time.ns_per_ms };
    _ = std.c.nanosleep(&time, null);
}

/// Removes what an unfinished case left behind.
fn removeObject(pid: std.c.pid_t, case: u64) void {
    var path: [128]u8 = undefined;
    const text = std.fmt.bufPrintSentinel(
        &path,
        case_file.dir ++ "/xmem.fuzz.{d}.{d}",
        .{ pid, case },
        0,
    ) catch unreachable;
    _ = std.c.unlink(text);
}
