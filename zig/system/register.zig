//! What the optimizer does with a value that several widths are read from: it computes each width
//! anew, and keeps all of them. On a path in which each saved register counts, one is enough.

/// The same number, whose origin the optimizer does not see: it stays in one register, whichever part
/// of it is used.
pub inline fn single(value: u64) u64 {
    return asm (""
        : [same] "=r" (-> u64),
        : [value] "0" (value),
    );
}
