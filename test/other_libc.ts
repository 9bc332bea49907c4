// Programs with another libc than that of this Bun. The compiler makes that libc first, from its sources,
// which takes minutes on a fresh machine. So only `bun run ci` runs the tests of such programs.

export const makesLibc: boolean = process.env["XMEM_TEST_OTHER_LIBC"] === "1";

if (!makesLibc) console.log("skipped: programs of another libc, which `bun run ci` makes");
