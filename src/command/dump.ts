// `xmem dump`: the control area of a pool, field by field, also of a corrupt pool. It reads the file
// and believes nothing of it: what does not fit is named a problem, and never followed.

import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { isPoolName } from "../arguments/validate.ts";
import { FORMAT_VERSION } from "../generated/constants.gen.ts";
import { type Field, type Part, structs, words } from "../generated/layout.gen.ts";
import { CommandError, gone } from "./failure.ts";
import { folder } from "./list.ts";

/** A whole number that a JavaScript number does not hold exactly is a string of digits. */
type Value = number | string | boolean | Value[] | { [name: string]: Value };
export type Decoded = { [name: string]: Value };

export interface Dump {
  path: string;
  fileBytes: number;
  problems: string[];
  header: Decoded;
  participants: Decoded[];
  slots: Decoded[];
  channels: Decoded[];
}

function whole(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `${value}`;
}

function wordParts(bits: bigint, parts: readonly Part[]): Value {
  const decoded: Decoded = {};
  let rest = bits;
  for (const [name, width, values] of parts) {
    const value = rest & ((1n << BigInt(width)) - 1n);
    rest >>= BigInt(width);
    const known = values?.[Number(value)];
    const shown =
      values === undefined ? whole(value) : (known ?? `damaged: ${value} stands for nothing`);
    const said = known === "true" || known === "false" ? known === "true" : shown;
    if (name === "") return said;
    if (name !== "unused") decoded[name] = said;
  }
  return decoded;
}

const unsigned: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };

function valueAt(bytes: Buffer, offset: number, type: string): Value {
  const parts = words[type];
  if (parts !== undefined) {
    const bits = parts.reduce((sum, [, width]) => sum + width, 0);
    const word = bits > 32 ? bytes.readBigUInt64LE(offset) : BigInt(bytes.readUInt32LE(offset));
    return wordParts(word, parts);
  }
  if (structs[type] !== undefined) return decode(bytes, offset, type);
  if (type === "i64") return Number(bytes.readBigInt64LE(offset));
  if (type === "u64") return whole(bytes.readBigUInt64LE(offset));
  const width = unsigned[type];
  if (width !== undefined) return bytes.readUIntLE(offset, width);
  // What only the system knows.
  return bytes.toString("hex", offset, offset + Number(type.replace("bytes:", "")));
}

function widthOf(type: string): number {
  return unsigned[type] ?? structs[type]?.size ?? 8;
}

const silent = /padding|reserved|^unused$/;

function decode(bytes: Buffer, base: number, struct: string): Decoded {
  const decoded: Decoded = {};
  for (const field of structs[struct]?.fields ?? []) {
    if (!silent.test(field[0])) decoded[field[0]] = fieldAt(bytes, base, field);
  }
  return decoded;
}

function fieldAt(bytes: Buffer, base: number, [, offset, type, count]: Field): Value {
  const at = base + offset;
  if (count === 1) return valueAt(bytes, at, type);
  if (type === "u8") {
    const text = bytes.subarray(at, at + count);
    const end = text.indexOf(0);
    return text.toString("utf8", 0, end < 0 ? count : end);
  }
  return Array.from({ length: count }, (_, place) =>
    valueAt(bytes, at + place * widthOf(type), type),
  );
}

/** Reads parts of a file; what lies past its end is zeros, and a problem. */
class Source {
  readonly problems: string[] = [];
  readonly size: number;
  readonly #file: number;

  constructor(pool: string) {
    if (!isPoolName(pool)) throw new CommandError("USAGE", `${pool} is no name of a pool`);
    this.#file = opened(pool);
    this.size = fstatSync(this.#file).size;
  }

  read(offset: number, length: number, what: string): Buffer {
    const bytes = Buffer.alloc(length);
    let done = 0;
    while (done < length && offset + done < this.size) {
      const read = readSync(this.#file, bytes, done, length - done, offset + done);
      if (read === 0) break;
      done += read;
    }
    if (done < length) this.problems.push(`${what} ends past the end of the file`);
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

function opened(pool: string): number {
  const path = pathOf(pool);
  // Whoever may write to the folder can make anything there. A FIFO without a writer blocks its reader.
  const kind = lstatSync(path, { throwIfNoEntry: false });
  if (kind === undefined) throw gone(pool, false);
  if (!kind.isFile()) {
    throw new CommandError("POOL_CORRUPT", `${path} is no regular file, and a pool is one`);
  }
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "ENOENT") throw gone(pool, false);
    if (code !== "EACCES") throw error;
    throw new CommandError("PERMISSION_DENIED", `this user may not read ${path}`);
  }
}

const magic = `${0x314d_454d_5f4c_4f50n}`; // "POL_MEM1"
const identitySize = structs["Identity"]?.size ?? 0;

export function pathOf(pool: string): string {
  return join(folder(), `xmem.${pool}`);
}

/** What a pool was made as, by its header alone. */
export function identityOf(pool: string): Decoded {
  using source = new Source(pool);
  return decode(source.read(0, identitySize, "the header"), 0, "Identity");
}

/** `all`: free slots, rows that nobody has, and places in channels where nothing is, too. */
export function dump(pool: string, all: boolean): Dump {
  using source = new Source(pool);
  const { problems } = source;
  const headerSize = sizeOf("Header");
  const header = decode(source.read(0, headerSize, "the header"), 0, "Header");
  const identity = header["identity"] as Decoded;
  const number = (name: string): number => Number(identity[name]);
  check(identity, source, problems);

  const rows = bounded("participant_count", number("participant_count"), 4096, problems);
  const capacity = bounded("capacity", number("capacity"), (1 << 24) - 2, problems);
  const channelCount = bounded("channel_count", number("channel_count"), 1024, problems);
  const slotsAt = headerSize + rows * sizeOf("ParticipantRow");

  const hot = header["hot"] as Decoded;
  const rowsUsed = all ? rows : Math.min(Number(hot["rows_used"]), rows);
  const participants = each(source, "ParticipantRow", headerSize, rowsUsed, "row").map((row) => ({
    ...row,
    holds: Number(row["joined"]) === 0 ? [] : holdsIn(source, identity, Number(row["row"])),
  }));
  const slots = each(source, "Slot", slotsAt, capacity, "slot").filter(
    ({ control }) => all || (control as Decoded)["state"] !== "free",
  );
  for (const slot of slots) checkSlot(slot, number("buffer_size"), capacity, problems);
  const channels = channelsIn(source, number, Math.min(Number(hot["channels_used"]), channelCount));
  const path = pathOf(pool);
  return { path, fileBytes: source.size, problems, header, participants, slots, channels };
}

/** Where a participant's counts of holds are not 0. */
function holdsIn(source: Source, identity: Decoded, row: number): Decoded[] {
  const number = (name: string): number => Number(identity[name]);
  const length = Math.min(number("capacity") * 2, number("hold_row_stride"));
  const at = number("hold_rows_offset") + row * number("hold_row_stride");
  if (!(length <= 1 << 25 && at + length <= source.size)) return [];
  const counts = source.read(at, length, `the holds of row ${row}`);
  const found: Decoded[] = [];
  for (let slot = 0; 2 * slot < length; slot++) {
    const count = counts.readUInt16LE(2 * slot);
    if (count > 0) found.push({ slot, count });
  }
  return found;
}

/** Names what no slot in use says. */
function checkSlot(slot: Decoded, bufferSize: number, capacity: number, problems: string[]): void {
  const control = slot["control"] as Decoded;
  const content = slot["content"] as Decoded;
  const description = slot["description"] as Decoded;
  const wrong = (what: string): number => problems.push(`slot ${slot["slot"]}: ${what}`);
  const [references, inFlight] = [Number(control["references"]), Number(control["in_flight"])];
  if (control["state"] === "used" && inFlight > references) {
    wrong(`${inFlight} of its ${references} references are in flight`);
  }
  if (Number(content["size"]) > bufferSize) wrong(`its size is ${content["size"]}`);
  for (const text of ["content_type_length", "producer_length"]) {
    if (Number(description[text]) > 31) wrong(`${text} is ${description[text]}`);
  }
  const next = Number(slot["next_free"]);
  if (next >= capacity && next !== 2 ** 24 - 1) wrong(`next_free is ${next}`);
}

function sizeOf(struct: string): number {
  return structs[struct]?.size ?? 0;
}

function bounded(what: string, value: number, most: number, problems: string[]): number {
  if (value <= most) return value;
  problems.push(`${what} is ${value}, and ${most} is the most that there can be`);
  return most;
}

/** Compares the header with what a pool of its numbers has. */
function check(identity: Decoded, source: Source, problems: string[]): void {
  const number = (name: string): number => Number(identity[name]);
  const up = (value: number, to: number): number => (to > 0 ? Math.ceil(value / to) * to : value);
  if (`${identity["magic"]}` !== magic) problems.push("it does not begin as a pool does");
  if (number("version") !== FORMAT_VERSION) {
    problems.push(`its format is version ${identity["version"]}, and this is ${FORMAT_VERSION}`);
  }
  const page = number("page_size");
  if (page < 4096 || (page & (page - 1)) !== 0) problems.push(`page_size is ${page}`);
  const slotsAt = up(
    sizeOf("Header") + number("participant_count") * sizeOf("ParticipantRow"),
    128,
  );
  const holdsAt = up(slotsAt + number("capacity") * sizeOf("Slot"), page);
  const holdStride = up(number("capacity") * 2, page);
  const channelsAt = up(holdsAt + number("participant_count") * holdStride, page);
  const channelStride = up(sizeOf("ChannelBlock"), page);
  const dataAt = channelsAt + number("channel_count") * channelStride;
  const stride = up(number("buffer_size"), page);
  const expected = {
    participants_offset: sizeOf("Header"),
    slots_offset: slotsAt,
    hold_rows_offset: holdsAt,
    hold_row_stride: holdStride,
    channels_offset: channelsAt,
    channel_stride: channelStride,
    data_offset: dataAt,
    stride,
    total_size: dataAt + number("capacity") * stride,
  };
  for (const [name, value] of Object.entries(expected)) {
    if (number(name) !== value) {
      problems.push(`${name} is ${identity[name]}, and ${value} follows from the other numbers`);
    }
  }
  if (source.size !== number("total_size")) {
    problems.push(`the file has ${source.size} bytes, and the header says ${number("total_size")}`);
  }
}

/** As many structs as the file has of them, read in parts. */
function each(source: Source, struct: string, at: number, count: number, what: string): Decoded[] {
  const size = sizeOf(struct);
  const there = Math.min(count, Math.max(0, Math.floor((source.size - at) / size)));
  if (there < count) source.problems.push(`${what}s from ${there} on lie past the end of the file`);
  const decoded: Decoded[] = [];
  const part = 4096;
  for (let first = 0; first < there; first += part) {
    const length = Math.min(part, there - first);
    const bytes = source.read(at + first * size, length * size, `${what} ${first}`);
    for (let place = 0; place < length; place++) {
      decoded.push({ [what]: first + place, ...decode(bytes, place * size, struct) });
    }
  }
  return decoded;
}

function channelsIn(source: Source, number: (name: string) => number, used: number): Decoded[] {
  const [at, stride] = [number("channels_offset"), number("channel_stride")];
  const { size = 0, fields = [] } = structs["ChannelBlock"] ?? {};
  const offsetOf = (name: string): number => fields.find(([each]) => each === name)?.[1] ?? 0;
  if (stride < size || at < 0 || at + used * stride > source.size) {
    if (used > 0) source.problems.push("the channels lie past the end of the file");
    return [];
  }
  return Array.from({ length: used }, (_, place) => {
    const base = at + place * stride;
    const own = decode(source.read(base, sizeOf("Channel"), `channel ${place}`), 0, "Channel");
    const what = `the capacity of channel ${place}`;
    const capacity = bounded(what, Number(own["capacity"]), 65536, source.problems);
    const bytes = source.read(base + offsetOf("cells"), capacity * 8, `channel ${place}`);
    const cells = Array.from({ length: capacity }, (_, cell) => ({
      cell,
      ...(valueAt(bytes, cell * 8, "Cell") as Decoded),
    })).filter((cell) => (cell as Decoded)["full"] === true);
    const subscribed = (own["subscribed"] as Value[]).flatMap((word, high) =>
      Array.from({ length: 64 }, (_, low) => low)
        .filter((low) => (BigInt(word as number | string) >> BigInt(low)) & 1n)
        .map((low) => high * 64 + low),
    );
    const subscribers = subscribed.map((entry) => {
      const from = base + offsetOf("subscribers") + entry * sizeOf("Subscriber");
      const read = source.read(from, sizeOf("Subscriber"), `channel ${place}`);
      return { subscriber: entry, ...decode(read, 0, "Subscriber") };
    });
    return { channel: place, ...own, cells, subscribers };
  });
}
