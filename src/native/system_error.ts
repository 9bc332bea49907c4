// What the native side found when a call failed: its text, the words and the name of the errno, the
// advice that fits both, and the errno as a cause in the shape that Node gives such errors.

// By the whole module: an older Bun lacks names of it, and would fail on them before it is refused.
import fs from "node:fs";
import util from "node:util";
import { codeOf, make, type XmemError } from "../errors/error.ts";
import { removeStack } from "../errors/user_frame.ts";
import { native } from "./native.ts";
import { bytes, decodeText } from "./scratch.ts";

/** What a failed call of this thread left to say; empty where it left nothing. */
interface Account {
  found?: string;
  advice?: string | undefined;
  cause?: Error;
}

/** The error of a native call that just failed with `result`, on a pool in the folder `dir`. */
export function nativeError(result: number, tried: string, dir: string): XmemError {
  const code = codeOf(result);
  const { found, ...particulars } = nativeAccount(result, dir);
  return make(code, tried, found, particulars);
}

/** What a native call that just failed with `result` left to say. */
export function nativeAccount(result: number, dir: string): Account {
  // A failure that only TypeScript knows of, such as a wait that its timer ended, left none.
  if (native.xmem_bun_error_code() !== Math.abs(result)) return {};
  const errno = native.xmem_bun_error_errno();
  const [text, advice] = divided(failureText());
  if (errno === 0) return { found: text, advice };
  const name = util.getSystemErrorName(-errno);
  const cause = Object.assign(new Error(described(errno)), { code: name, errno: -errno });
  removeStack(cause);
  // A text that does not end in "failed" says itself what these errnos mean.
  const restated = saidByTexts.has(name) && !text.endsWith("failed");
  const words = restated ? name : described(errno);
  const found = text === "" ? words : `${text} (${words})`;
  return { found, advice: advice ?? adviceFor(name, text, dir), cause };
}

const saidByTexts: ReadonlySet<string> = new Set(["EEXIST", "ENOENT", "ENOTDIR"]);

const textScratch = bytes(512);

/** What the last failed call on this thread found: empty where it had nothing to add. */
function failureText(): string {
  const length = native.xmem_bun_error_text(textScratch, textScratch.length);
  if (length === 0) return "";
  return decodeText(textScratch.subarray(0, length));
}

/**
 * See `fail` in zig/errors.zig: what was found, and after a semicolon what can be done about it.
 */
function divided(text: string): [found: string, advice: string | undefined] {
  const end = text.indexOf("; ");
  return end < 0 ? [text, undefined] : [text.slice(0, end), text.slice(end + 2)];
}

/** "EROFS: read-only file system". */
function described(errno: number): string {
  const name = util.getSystemErrorName(-errno);
  const words = util.getSystemErrorMap().get(-errno)?.[1];
  return words === undefined ? name : `${name}: ${words}`;
}

function adviceFor(name: string, text: string, dir: string): string | undefined {
  switch (name) {
    case "ENOSPC":
      return adviceWhenFull(dir);
    case "ENOENT":
      if (fs.existsSync(dir)) return undefined;
      return `make the folder ${dir}, or let XMEM_DIR name another one`;
    case "ENOTDIR":
      return "let XMEM_DIR name a folder";
    case "EROFS":
      return (
        `mount ${dir} writable, or let XMEM_DIR name another folder; ` +
        "list() and inspect() work here"
      );
    case "EACCES":
    case "EPERM":
      // Where the object could be looked at, the code's own advice is right.
      if (!text.endsWith("failed")) return undefined;
      return `allow this user to write in ${dir}, or let XMEM_DIR name another folder`;
    case "EDQUOT":
      return "remove files of this user's there, or raise the quota";
    case "EFBIG":
      return "make it smaller, or raise the limit for a file's length (ulimit -f)";
    case "ENOMEM":
    case "EAGAIN":
      return "make it smaller, or raise the limit for address space (ulimit -v) or memory";
    case "EMFILE":
      return "close some files, or raise the limit of this process (ulimit -n)";
    case "ENFILE":
      return "close some files, or raise the limit of the system (fs.file-max)";
    default:
      return undefined;
  }
}

/** A file system can lack bytes or inodes, and what helps differs. */
function adviceWhenFull(dir: string): string | undefined {
  try {
    const { files, ffree, bavail, bsize } = fs.statfsSync(dir);
    if (files > 0 && ffree === 0) {
      return `all ${files} inodes of ${dir} are used: remove files there, or raise its nr_inodes`;
    }
    const left = `${bavail * bsize} bytes are left in ${dir}`;
    return `${left}: release buffers, trim(), unlink pools that are left over, or enlarge it`;
  } catch {
    return undefined;
  }
}
