// What a runtime other than Bun loads in place of the library: an error that says so. It must load
// where neither TypeScript nor bun:ffi does, by `import` and by `require`, so it is CommonJS.

"use strict";

class XmemError extends Error {
  name = "XmemError";
  code = "UNSUPPORTED_PLATFORM";
}

// Named here, since an import of a name that does not exist fails before the error below is thrown.
exports.BufferPool = undefined;
exports.FrameSink = undefined;
exports.FrameSource = undefined;
exports.XmemError = XmemError;

function found() {
  // A program that was bundled for Node, and that Bun runs.
  if (process.versions.bun) return `a bundle for Node, run by Bun ${process.versions.bun}`;
  if (process.versions.deno) return `Deno ${process.versions.deno}`;
  return `Node ${process.versions.node}`;
}

throw new XmemError(
  `loading xmem: this is ${found()}, and xmem needs Bun 1.4.5 or later; run the program with ` +
    "`bun`, and bundle it with `bun build --target=bun`",
);
