//! What a Zig source declares for other languages, read from its text: reflection knows neither the
//! names of parameters nor comments.

const std = @import("std");

const Allocator = std.mem.Allocator;
const Ast = std.zig.Ast;

/// The lines of a doc comment, without the slashes and the space after them.
pub const Docs = []const []const u8;

/// A parameter, or a struct's field.
pub const Member = struct {
    docs: Docs,
    name: []const u8,
    /// As it is written.
    type: []const u8,
};

pub const Function = struct {
    docs: Docs,
    name: []const u8,
    parameters: []const Member,
    returns: []const u8,
};

/// A public constant that is an extern struct.
pub const Struct = struct { docs: Docs, name: []const u8, fields: []const Member };

/// A public constant that gives a type a name of its own.
pub const Alias = struct { docs: Docs, name: []const u8, type: []const u8 };

/// A member of the source's public enum.
pub const EnumMember = struct { docs: Docs, name: []const u8 };

pub const Declaration = union(enum) { function: Function, structure: Struct, alias: Alias };

/// Everything that `source` declares for others, in its order.
pub fn read(gpa: Allocator, source: [:0]const u8) ![]const Declaration {
    const tree = try parsed(gpa, source);
    var found: std.ArrayList(Declaration) = .empty;
    for (tree.rootDecls()) |node| {
        if (try functionOf(gpa, &tree, node)) |function| {
            try found.append(gpa, .{ .function = function });
        } else if (tree.fullVarDecl(node)) |constant| {
            if (try constantOf(gpa, &tree, constant)) |declared| try found.append(gpa, declared);
        }
    }
    return found.items;
}

/// The members of the enum `name` in `source`.
pub fn readEnum(gpa: Allocator, source: [:0]const u8, name: []const u8) ![]const EnumMember {
    const tree = try parsed(gpa, source);
    for (tree.rootDecls()) |node| {
        const constant = tree.fullVarDecl(node) orelse continue;
        if (!std.mem.eql(u8, tree.tokenSlice(constant.ast.mut_token + 1), name)) continue;
        var buffer: [2]Ast.Node.Index = undefined;
        const init = constant.ast.init_node.unwrap() orelse continue;
        const container = tree.fullContainerDecl(&buffer, init) orelse continue;
        var members: std.ArrayList(EnumMember) = .empty;
        for (container.ast.members) |member| {
            const field = tree.fullContainerField(member) orelse continue;
            try members.append(gpa, .{
                .docs = try docsBefore(gpa, &tree, field.firstToken()),
                .name = tree.tokenSlice(field.ast.main_token),
            });
        }
        return members.items;
    }
    return error.NoSuchEnum;
}

fn parsed(gpa: Allocator, source: [:0]const u8) !Ast {
    const tree = try Ast.parse(gpa, source, .zig);
    return if (tree.errors.len == 0) tree else error.SyntaxError;
}

fn functionOf(gpa: Allocator, tree: *const Ast, node: Ast.Node.Index) !?Function {
    var buffer: [1]Ast.Node.Index = undefined;
    const proto = tree.fullFnProto(&buffer, node) orelse return null;
    const linkage = proto.extern_export_inline_token orelse return null;
    if (tree.tokenTag(linkage) != .keyword_export) return null;
    var parameters: std.ArrayList(Member) = .empty;
    var each = proto.iterate(tree);
    while (each.next()) |parameter| {
        const name = parameter.name_token orelse return error.ParameterWithoutName;
        const type_node = parameter.type_expr orelse return error.ParameterWithoutType;
        try parameters.append(gpa, .{
            .docs = try docsBefore(gpa, tree, name),
            .name = tree.tokenSlice(name),
            .type = tree.getNodeSource(type_node),
        });
    }
    return .{
        .docs = try docsBefore(gpa, tree, proto.firstToken()),
        .name = tree.tokenSlice(proto.name_token orelse return error.FunctionWithoutName),
        .parameters = parameters.items,
        .returns = tree.getNodeSource(proto.ast.return_type.unwrap() orelse
            return error.FunctionWithoutType),
    };
}

fn constantOf(gpa: Allocator, tree: *const Ast, constant: Ast.full.VarDecl) !?Declaration {
    if (constant.visib_token == null) return null;
    const docs = try docsBefore(gpa, tree, constant.firstToken());
    const name = tree.tokenSlice(constant.ast.mut_token + 1);
    const init = constant.ast.init_node.unwrap() orelse return null;
    var buffer: [2]Ast.Node.Index = undefined;
    const container = tree.fullContainerDecl(&buffer, init) orelse {
        if (tree.nodeTag(init) != .identifier) return null;
        return .{ .alias = .{ .docs = docs, .name = name, .type = tree.getNodeSource(init) } };
    };
    if (tree.tokenTag(container.ast.main_token) != .keyword_struct) return null;
    var fields: std.ArrayList(Member) = .empty;
    for (container.ast.members) |member| {
        const field = tree.fullContainerField(member) orelse continue;
        const type_node = field.ast.type_expr.unwrap() orelse return error.FieldWithoutType;
        try fields.append(gpa, .{
            .docs = try docsBefore(gpa, tree, field.firstToken()),
            .name = tree.tokenSlice(field.ast.main_token),
            .type = tree.getNodeSource(type_node),
        });
    }
    return .{ .structure = .{ .docs = docs, .name = name, .fields = fields.items } };
}

fn docsBefore(gpa: Allocator, tree: *const Ast, token: Ast.TokenIndex) !Docs {
    var first = token;
    while (first > 0 and tree.tokenTag(first - 1) == .doc_comment) first -= 1;
    var lines: std.ArrayList([]const u8) = .empty;
    for (first..token) |place| {
        const line = tree.tokenSlice(@intCast(place))["///".len..];
        try lines.append(gpa, std.mem.trimEnd(u8, cutSpace(line), " \r"));
    }
    return lines.items;
}

fn cutSpace(line: []const u8) []const u8 {
    return if (std.mem.startsWith(u8, line, " ")) line[1..] else line;
}

test "exported functions are read with their names, types and comments" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    const declared = try read(arena.allocator(),
        \\/// A number.
        \\pub const Handle = u64;
        \\const hidden = u8;
        \\/// Does it.
        \\///
        \\///   Twice.
        \\pub export fn xmem_do(
        \\    number: u32,
        \\    /// Bytes.
        \\    text: [*:0]const u8,
        \\) i32 {
        \\    return number;
        \\}
        \\pub fn inside() void {}
        \\pub const Pair = extern struct {
        \\    /// The first.
        \\    one: u32 = 1,
        \\    two: [8]u64,
        \\};
    );
    try std.testing.expectEqual(3, declared.len);
    try std.testing.expectEqualStrings("u64", declared[0].alias.type);
    const function = declared[1].function;
    try std.testing.expectEqualStrings("xmem_do", function.name);
    try std.testing.expectEqualStrings("i32", function.returns);
    try std.testing.expectEqual(3, function.docs.len);
    try std.testing.expectEqualStrings("  Twice.", function.docs[2]);
    try std.testing.expectEqualStrings("[*:0]const u8", function.parameters[1].type);
    try std.testing.expectEqualStrings("Bytes.", function.parameters[1].docs[0]);
    try std.testing.expectEqual(0, function.parameters[0].docs.len);
    const fields = declared[2].structure.fields;
    try std.testing.expectEqualStrings("The first.", fields[0].docs[0]);
    try std.testing.expectEqualStrings("[8]u64", fields[1].type);
}
