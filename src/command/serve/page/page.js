// @ts-check
// The page of `xmem serve`: it shows what the stream of events says. Names come from programs that
// nobody vouches for, so that text is only ever text here, and never markup.

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

/** @param {string} tag @param {Record<string, any>} [properties] @param {(Node | string)[]} children @returns {any} */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** @param {any} node @param {string} text */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {any} node @param {string} name @param {string} value */
function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Numbers as people read them.

/** @param {number} count */
function bytes(count) {
  const power = count < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(count) / 10));
  return `${Number((count / 1024 ** power).toFixed(1))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** @param {number} milliseconds */
function duration(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms / 1000) % 60)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms / 60_000) % 60)} min`;
}

/** @param {number} number */
function brief(number) {
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)}M`;
  if (number >= 1e4) return `${(number / 1e3).toFixed(0)}k`;
  return number >= 10 ? number.toFixed(0) : `${Number(number.toFixed(1))}`;
}

/** @param {number} share */
const percent = (share) => `${Math.round(share * 100)} %`;
/** @param {number} at */
const clock = (at) => new Date(at).toTimeString().slice(0, 8);
/** The letter that stands for a participant. @param {number} number */
const letterOf = (number) =>
  String.fromCharCode(65 + (number % 26)) + (number < 26 ? "" : Math.floor(number / 26) + 1);
/** @param {{ name: string, pid: number, tid: number }} who */
const called = ({ name, pid, tid }) =>
  `${name || "unnamed"} (${pid === tid ? pid : `${pid}, thread ${tid}`})`;

const kinds = /** @type {Record<string, string>} */ ({
  ".": "free",
  h: "held",
  q: "queued",
  i: "in flight",
  p: "parked",
  c: "private",
  x: "held by a dead participant",
});

/** @param {string} kind @param {number} [number] */
function swatch(kind, number) {
  const letter = number === undefined ? "" : letterOf(number);
  const hue = number === undefined || kind === "x" ? "" : ` h${number % 8}`;
  const cell = make(
    "span",
    { className: `cell small s-${kind}${hue}` },
    kind === "h" ? letter : "",
  );
  cell.dataset.letter = letter;
  cell.setAttribute("aria-hidden", "true");
  return cell;
}

// Tables whose rows stay the same elements for as long as they are of the same thing.

/**
 * @param {any} table
 * @param {{ title: string, n?: boolean, wide?: boolean, show: (cell: any, row: any) => void }[]} columns
 */
function tableOf(table, columns) {
  const titles = columns.map(({ title, n }) => {
    const cell = make("th", { className: n ? "n" : "" }, title);
    cell.scope = "col";
    return cell;
  });
  const body = make("tbody");
  table.append(make("thead", {}, make("tr", {}, ...titles)), body);
  const known = new Map();
  /** @param {[any, any][]} rows */
  return (rows) => {
    const keys = new Set(rows.map(([key]) => key));
    for (const [key, line] of known) {
      if (keys.has(key)) continue;
      line.remove();
      known.delete(key);
    }
    for (const [place, [key, row]] of rows.entries()) {
      const cells = columns.map(({ n, wide }) =>
        make("td", { className: n ? "n" : wide ? "wide" : "" }),
      );
      const line = known.get(key) ?? make("tr", {}, ...cells);
      known.set(key, line);
      for (const [column, { show }] of columns.entries()) show(line.children[column], row);
      if (body.children[place] !== line) body.insertBefore(line, body.children[place] ?? null);
    }
  };
}

/** @param {string} title @param {(row: any) => string} text */
const number = (title, text) => ({
  ...{ title, n: true },
  /** @param {any} cell @param {any} row */
  show: (cell, row) => write(cell, text(row)),
});

/** A bar before a text. @param {any} cell @param {number} share @param {string} text */
function bar(cell, share, text) {
  if (cell.firstChild === null)
    cell.append(make("span", { className: "bar" }, make("i", { className: "part" })), "");
  cell.firstChild.firstChild.style.width = `${Math.min(100, Math.round(100 * share))}%`;
  write(cell.lastChild, text);
}

/** @param {string} d @param {string} [className] */
function pathOf(d, className = "") {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", d);
  path.setAttribute("class", className);
  return path;
}

/** @param {any} svg @param {string[]} ds the line, and the area below it */
function draw(svg, ...ds) {
  while (svg.children.length < ds.length) {
    svg.prepend(pathOf("", svg.children.length === 0 ? "" : "area"));
  }
  for (const [place, d] of ds.entries()) set(svg.children[ds.length - 1 - place], "d", d);
}

// The folder.

const showPools = tableOf($("pools"), [
  {
    title: "Pool",
    wide: true,
    show(cell, { name }) {
      if (cell.firstChild === null) {
        cell.append(make("a", { href: `#pool=${encodeURIComponent(name)}` }, name));
      }
    },
  },
  {
    title: "In use",
    show(cell, { used, capacity }) {
      if (capacity !== undefined) bar(cell, used / capacity, `${used} of ${capacity}`);
      else cell.replaceChildren();
    },
  },
  {
    title: "Last looks",
    show(cell, { shares }) {
      if (cell.firstChild === null) {
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        set(svg, "viewBox", "0 0 120 20");
        set(svg, "preserveAspectRatio", "none");
        set(svg, "aria-hidden", "true");
        cell.append(svg);
      }
      const points = shares.map(
        (/** @type {number} */ share, /** @type {number} */ at) =>
          `${120 - shares.length + at + 1} ${19 - 18 * share}`,
      );
      draw(cell.firstChild, points.length > 1 ? `M${points.join("L")}` : "");
    },
  },
  number("Acquires/s", ({ acquired }) => (acquired === undefined ? "" : brief(acquired))),
  number("Waiting", ({ waiters }) => `${waiters ?? ""}`),
  number("Open by", ({ openBy }) => `${openBy ?? ""}`),
  number("Buffer", ({ capacity, bufferSize }) => (capacity ? bytes(bufferSize) : "")),
  number("Memory", ({ committedBytes: all }) => (all === undefined ? "" : bytes(all))),
  {
    title: "",
    wide: true,
    show(cell, { problem = "" }) {
      cell.className = "wide bad";
      write(cell, problem);
    },
  },
]);

/** @param {any} seen */
function showFolder(seen) {
  write(
    $("folder-title"),
    `${seen.pools.length === 1 ? "1 pool" : `${seen.pools.length} pools`} in ${seen.folder}`,
  );
  $("no-pools").hidden = seen.pools.length > 0;
  $("pools").hidden = seen.pools.length === 0;
  showPools(seen.pools.map((/** @type {any} */ pool) => [pool.name, pool]));
  banner(seen.problem);
  if (left !== null) linkOf(left)?.focus();
  left = null;
}

/** The pool that was left last. @type {string | null} */
let left = null;
const links = () => [...$("pools").querySelectorAll("a")];
/** @param {string} name */
const linkOf = (name) => links().find(({ textContent }) => textContent === name) ?? links()[0];

// One pool.

/** @type {[at: number, share: number, acquired: number][]} */
let points = [];
/** Which object had the name. */
let object = "";
/** The newest sample. @type {any} */
let seen = null;

/** @param {any} sample */
function showPool(sample) {
  if (sample.history || sample.object !== object) points = sample.history ?? [];
  if (sample.object !== object) only = null;
  object = sample.object;
  seen = sample;
  const since = sample.since === null ? "" : ` since ${clock(sample.since)}`;
  const was = sample.stats ? " This is how it was." : "";
  const waits = `${was} The page waits for a pool of this name.`;
  if (sample.problem === "gone") banner(`The pool is gone${since}.${waits}`);
  else if (sample.problem) banner(`${sample.problem}${since}.${waits}`);
  else banner(sample.stats.flushing ? "The pool is flushing: it refuses every acquire." : "");
  for (const id of ["tiles", "charts", "slots"]) $(id).hidden = !sample.stats;
  for (const id of ["participants", "channels"]) {
    $(id).closest(".card").hidden = !sample.stats || sample[id].length === 0;
  }
  if (!sample.stats) return;
  const { stats, rates, at } = sample;
  if (!sample.history && !sample.problem) {
    points.push([at, stats.used / stats.capacity, rates.acquired]);
  }
  points = points.filter(([then]) => then > at - span);
  showTiles(sample);
  showCharts(sample);
  showMap(sample);
  showParticipants(sample.participants.map((/** @type {any} */ each) => [each.number, each]));
  showChannels(sample.channels.map((/** @type {any} */ each) => [each.name, each]));
  void showDetails();
}

/** @param {any} sample */
function showTiles({ stats }) {
  const { used, capacity, free, waiters, inFlight, queued, parked, counters } = stats;
  /** @type {[title: string, value: string, unit: string, alarm?: boolean][]} */
  const tiles = [
    ["In use", `${used}`, ` of ${capacity}`, free === 0],
    ["Waiting", `${waiters}`, waiters === 1 ? " participant" : " participants", waiters > 0],
    ["In flight", `${inFlight}`, " references"],
    ["Queued", `${queued}`, " in channels"],
    ["Parked", `${parked}`, ""],
    ["Longest hold", duration(stats.longestHoldMs), ""],
    ["Oldest lease", duration(stats.oldestLeaseMs), ""],
    ["Memory", bytes(stats.committedBytes), ""],
    ["Recoveries", `${counters.recoveries}`, ""],
  ];
  const list = $("tiles");
  for (const [place, [title, value, unit, alarm]] of tiles.entries()) {
    if (list.children[place] === undefined) {
      const says = make("dd", {}, "", make("small"));
      list.append(make("div", {}, make("dt", {}, title), says));
    }
    const tile = list.children[place];
    tile.className = alarm ? "alarm" : "";
    write(tile.lastChild.firstChild, value);
    write(tile.lastChild.lastChild, unit);
  }
}

const span = 5 * 60_000;

/** @param {any} svg @param {any} sample @param {1 | 2} field @param {number} most */
function chart(svg, { at, every }, field, most) {
  let line = "";
  let area = "";
  let before = Number.NEGATIVE_INFINITY;
  let x = 0;
  for (const point of points) {
    const begins = point[0] - before > Math.max(3000, 4 * every);
    if (begins && area !== "") area += `L${x} 64Z`;
    x = Number((300 * (1 - (at - point[0]) / span)).toFixed(2));
    const y = Number((63 - (60 * point[field]) / most).toFixed(1));
    line += `${begins ? "M" : "L"}${x} ${y}`;
    area += begins ? `M${x} 64L${x} ${y}` : `L${x} ${y}`;
    before = point[0];
  }
  draw(svg, line, area === "" ? "" : `${area}L${x} 64Z`);
}

/** @param {any} sample */
function showCharts(sample) {
  const { stats, rates } = sample;
  const share = stats.used / stats.capacity;
  const mostShare = Math.max(...points.map(([, each]) => each), share);
  const mostRate = Math.max(...points.map(([, , each]) => each), rates.acquired);
  chart($("share"), sample, 1, 1);
  chart($("rate"), sample, 2, Math.max(1, mostRate * 1.05));
  write($("share-now"), percent(share));
  write($("share-most"), `at most ${percent(mostShare)}`);
  write($("rate-now"), brief(rates.acquired));
  write($("rate-most"), `at most ${brief(mostRate)}`);
  set(
    $("share"),
    "aria-label",
    `The last five minutes: now ${percent(share)} in use, at most ${percent(mostShare)}`,
  );
  set(
    $("rate"),
    "aria-label",
    `The last five minutes: now ${brief(rates.acquired)} acquires per second, at most ${brief(mostRate)}`,
  );
}

// The map.

const map = $("map");
/** @type {{ element: any, drawn: string }[]} */
let cells = [];
/** The cell that the keys are at. */
let at = 0;
/** The number of the participant whose slots alone are shown. @type {number | null} */
let only = null;
let columns = 1;
let side = 0;

function layOut() {
  const room = map.clientWidth - 6;
  if (room <= 0 || cells.length === 0) return;
  const height = window.innerWidth < 860 ? 420 : 250;
  const fits = Math.floor(Math.sqrt((room * height) / cells.length));
  const gap = fits >= 14 ? 3 : fits >= 9 ? 2 : 1;
  side = Math.max(6, Math.min(40, fits - gap));
  // Whole columns that fill the room.
  columns = Math.max(1, Math.ceil((room + gap) / (side + gap)));
  side = Math.floor((room + gap) / columns) - gap;
  map.style.setProperty("--cell", `${side}px`);
  map.style.setProperty("--gap", `${gap}px`);
}

/** @param {number} place @param {any} sample @param {string} kind @param {any} who */
function wordsOf(place, { map: { per, fill }, stats }, kind, who) {
  const by = who === undefined ? "" : ` by ${letterOf(who.number)} ${called(who)}`;
  const is = kind === "x" ? `held${by}, dead` : `${kinds[kind]}${by}`;
  if (per === 1) return `Slot ${place}: ${is}`;
  const last = Math.min(stats.capacity, (place + 1) * per) - 1;
  const full =
    Number(fill[place]) === 0 ? "free" : `up to ${percent(fill[place] / 9)} used, mostly ${is}`;
  return `Slots ${place * per} to ${last}: ${full}`;
}

/** @param {any} sample */
function showMap(sample) {
  if (sample.map === null) {
    cells = [];
    map.replaceChildren();
    const { used } = sample.stats;
    write($("map-note"), `${used} buffers are in use, which is too many to look at each of them`);
    return;
  }
  const { states, holders, per, fill } = sample.map;
  if (cells.length !== states.length) {
    cells = Array.from(states, (_, place) => {
      const element = make("span", { id: `c${place}` });
      element.setAttribute("role", "option");
      return { element, drawn: "" };
    });
    map.replaceChildren(...cells.map(({ element }) => element));
    at = Math.max(0, states.search(/[^.]/));
    layOut();
  }
  const byNumber = new Map(
    sample.participants.map((/** @type {any} */ each) => [each.number, each]),
  );
  const letters = side >= 15;
  let holder = 0;
  for (const [place, cell] of cells.entries()) {
    const kind = states[place];
    const number = kind === "h" || kind === "x" ? holders[holder++] : undefined;
    const mine = only === null || number === only;
    const drawn = `${kind} ${number} ${mine} ${fill?.[place]} ${letters} ${place === at}`;
    if (drawn === cell.drawn) continue;
    cell.drawn = drawn;
    const { element } = cell;
    const hue = kind === "h" ? ` h${number % 8}` : "";
    element.className = `cell s-${kind}${hue}${mine ? " mine" : ""}${place === at ? " at" : ""}`;
    const letter = number === undefined || !letters ? "" : letterOf(number);
    write(element, kind === "h" ? letter : "");
    element.dataset.letter = letter;
    element.style.opacity = fill && kind !== "." ? `${0.3 + (0.7 * fill[place]) / 9}` : "";
    element.title = wordsOf(place, sample, kind, byNumber.get(number));
    element.ariaSelected = `${place === at}`;
  }
  map.className = `${sample.problem ? "stale" : ""} ${only === null ? "" : "only"}`;
  set(map, "aria-activedescendant", `c${at}`);
  const { capacity } = sample.stats;
  const note =
    per === 1
      ? `${capacity} buffers, a cell for each; letters are participants`
      : `${capacity} buffers, ${per} to a cell: it shows what most of its used ones are, the stronger the more are used`;
  write($("map-note"), note);
}

/** @param {number} place */
function moveTo(place) {
  if (!seen?.map) return;
  at = Math.max(0, Math.min(cells.length - 1, place));
  showMap(seen);
  cells[at]?.element.scrollIntoView({ block: "nearest" });
  write($("said"), cells[at]?.element.title ?? "");
  void showDetails();
}

/** The next cell in use in a direction, or the same. @param {1 | -1} step */
function nextUsed(step) {
  const { states } = seen.map;
  for (let place = at + step; place >= 0 && place < states.length; place += step) {
    if (states[place] !== ".") return place;
  }
  return at;
}

/** @type {Record<string, () => number>} */
const moves = {
  ArrowLeft: () => at - 1,
  ArrowRight: () => at + 1,
  ArrowUp: () => (at < columns ? at : at - columns),
  ArrowDown: () => (at + columns < cells.length ? at + columns : at),
  Home: () => 0,
  End: () => cells.length - 1,
  n: () => nextUsed(1),
  p: () => nextUsed(-1),
};

map.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter") $("details").focus();
  const move = moves[event.key];
  if (move === undefined || !seen?.map) return;
  event.preventDefault();
  moveTo(move());
});
map.addEventListener("click", (/** @type {any} */ event) => {
  const place = cells.findIndex(({ element }) => element === event.target);
  if (place >= 0) moveTo(place);
});
new ResizeObserver(() => {
  layOut();
  if (seen?.map) showMap(seen);
}).observe(map);
$("legend").append(
  ...Object.entries(kinds).map(([kind, words]) =>
    make("li", {}, swatch(kind, kind === "h" ? 0 : undefined), words),
  ),
);

// What is behind a cell.

let asked = 0;

async function showDetails() {
  const turn = ++asked;
  const where = `slots?pool=${encodeURIComponent(pool ?? "")}&cell=${at}`;
  try {
    const answer = await fetch(where);
    if (!answer.ok) return;
    const found = await answer.json();
    if (turn === asked) tell(found);
  } catch {
    // The server has ended, which the stream says.
  }
}

/** A line of the details: a title and a text, or, without a text, a heading. @typedef {[title: string, text?: string, number?: number | undefined]} Fact */

/** @param {any} found @returns {Fact[]} */
function factsOf({ at: now, first, last, counts, buffers }) {
  if (first === last && buffers.length === 0) return [["State", "free"]];
  /** @type {Fact[]} */
  const facts = [];
  if (first !== last) {
    const used = Object.values(counts).reduce((sum, count) => sum + count, 0);
    facts.push(["Free", `${last - first + 1 - used} of ${last - first + 1}`]);
    for (const [state, count] of Object.entries(counts)) facts.push([stateOf(state), `${count}`]);
  }
  for (const buffer of buffers) {
    if (first !== last) facts.push([`Slot ${buffer.index}`]);
    facts.push(...factsOfBuffer(buffer, now));
  }
  return facts;
}

/** As the legend calls it. @param {string} state */
function stateOf(state) {
  if (state === "changing") return "private";
  return state === "in-flight" ? "in flight" : state;
}

/** @param {any} buffer @param {number} now @returns {Fact[]} */
function factsOfBuffer(buffer, now) {
  /** @param {string} time */
  const ago = (time) => `${duration(now - Date.parse(time))} ago`;
  /** @type {Fact[]} */
  const facts = [["State", stateOf(buffer.state)]];
  for (const holder of buffer.holders) {
    const { number } = seen.participants.find(
      (/** @type {any} */ { pid, tid }) => pid === holder.pid && tid === holder.tid,
    ) ?? { number: undefined };
    const times = holder.holds === 1 ? "" : `, ${holder.holds} times`;
    facts.push(["Held by", `${called(holder)}${holder.alive ? "" : ", dead"}${times}`, number]);
    for (const { since, stack } of holder.traces) facts.push(["", `${stack[0]}, ${ago(since)}`]);
  }
  facts.push(["Acquired", ago(buffer.acquiredAt)], ["Size", bytes(buffer.size)]);
  if (buffer.contentType) facts.push(["Content", buffer.contentType]);
  if (buffer.producer) facts.push(["Producer", buffer.producer]);
  if (buffer.sequence) facts.push(["Sequence", `${buffer.sequence}`]);
  if (buffer.channels.length > 0) facts.push(["Queued in", buffer.channels.join(", ")]);
  if (buffer.deliveries > 0) facts.push(["Deliveries", `${buffer.deliveries}`]);
  if (buffer.inFlight > 0 || buffer.state === "parked") {
    const end = buffer.leaseEndsAt;
    const by = buffer.handedOverBy ? `by ${called(buffer.handedOverBy)}, ` : "";
    if (buffer.handedOverAt) facts.push(["Handed over", `${by}${ago(buffer.handedOverAt)}`]);
    const until = end ? `${clock(end)}, in ${duration(Date.parse(end) - now)}` : "for ever";
    facts.push(["In flight until", until]);
  }
  facts.push(["References", `${buffer.references}`], ["Memory", bytes(buffer.committedBytes)]);
  return facts;
}

let told = "";

/** @param {any} found */
function tell(found) {
  const { first, last } = found;
  write($("details-title"), first === last ? `Slot ${first}` : `Slots ${first} to ${last}`);
  const facts = factsOf(found);
  const shape = JSON.stringify(facts.map(([title, text, number]) => [title, !text, number]));
  const body = $("details-body");
  if (shape !== told) {
    told = shape;
    const rows = facts.map(([title, text, number]) => {
      if (text === undefined)
        return make("tr", {}, make("td", { colSpan: 2 }, make("h3", {}, title)));
      const mark = number === undefined ? "" : swatch("h", number);
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, title),
        make("td", {}, mark, " ", make("span")),
      );
    });
    body.replaceChildren(make("table", {}, make("tbody", {}, ...rows)));
  }
  const lines = body.querySelectorAll("tr");
  for (const [place, [, text]] of facts.entries()) {
    if (text !== undefined) write(lines[place].lastChild.lastChild, text);
  }
}

// Participants and channels.

const showParticipants = tableOf($("participants"), [
  {
    title: "Participant",
    wide: true,
    show(cell, { number, name, alive }) {
      if (cell.firstChild === null) {
        const button = make("button", { type: "button" }, "");
        button.addEventListener("click", () => {
          only = only === number ? null : number;
          if (seen !== null) showPool({ ...seen, history: points });
        });
        cell.append(swatch("h", number), " ", button);
      }
      const [mark, , button] = cell.childNodes;
      mark.className = `cell small ${alive ? `s-h h${number % 8}` : "s-x"}`;
      write(mark, alive ? letterOf(number) : "");
      write(button, name || "unnamed");
      set(button, "aria-pressed", `${only === number}`);
      set(button, "title", "Show only its slots");
    },
  },
  number("Pid", ({ pid, tid }) => (pid === tid ? `${pid}` : `${pid}:${tid}`)),
  number("Holds", ({ holds }) => `${holds}`),
  number("Acquires/s", ({ acquired }) => brief(acquired)),
  number("Releases/s", ({ released }) => brief(released)),
  {
    title: "State",
    show(cell, { alive, waiting }) {
      cell.className = alive ? "warn" : "bad";
      write(cell, alive ? (waiting ? "waiting" : "") : "dead");
    },
  },
]);

const showChannels = tableOf($("channels"), [
  { title: "Channel", wide: true, show: (cell, { name }) => write(cell, name) },
  {
    title: "Mode",
    show: (cell, { mode, closed }) => write(cell, closed ? `${mode}, closed` : mode),
  },
  {
    title: "Queued",
    show: (cell, { queued, capacity }) => bar(cell, queued / capacity, `${queued} of ${capacity}`),
  },
  number("Lag", ({ mode, lag }) => (mode === "broadcast" ? `${lag}` : "")),
  number("Sent/s", ({ perSecond }) => brief(perSecond)),
  number("Sent", ({ sent }) => `${sent}`),
  number("Received", ({ received }) => `${received}`),
  number("Dropped", ({ dropped }) => `${dropped}`),
  number("Open by", ({ openBy }) => `${openBy}`),
  {
    title: "Waiting",
    show(cell, { waitingReceivers, waitingSenders }) {
      const parts = [
        waitingReceivers > 0 ? `${waitingReceivers} to receive` : "",
        waitingSenders > 0 ? `${waitingSenders} to send` : "",
      ];
      write(cell, parts.filter(Boolean).join(", "));
    },
  },
]);

// The stream, and the way between the folder and a pool.

/** @param {string} text */
function banner(text) {
  $("banner").hidden = text === "";
  write($("banner"), text);
}

/** @param {string} state @param {string} text */
function live(state, text) {
  $("live").dataset.state = state;
  write($("live").lastChild, text);
}

/** The pool that is shown; null for the folder. @type {string | null} */
let pool = null;
/** @type {EventSource | null} */
let source = null;

function open() {
  source?.close();
  left = pool;
  const [, name] = /^#(pool=.+)$/.exec(location.hash) ?? [];
  // Whatever somebody types there: this decodes it, and never throws.
  pool = name === undefined ? null : new URLSearchParams(name.replaceAll("+", "%2B")).get("pool");
  seen = null;
  only = null;
  write($("where"), pool ?? "");
  document.title = pool === null ? "xmem" : `${pool} – xmem`;
  live("waiting", "connecting");
  const stream = new EventSource(
    pool === null ? "events" : `events?pool=${encodeURIComponent(pool)}`,
  );
  source = stream;
  stream.onmessage = ({ data }) => {
    const sample = JSON.parse(data);
    const isFirst = $(pool === null ? "folder" : "pool").hidden;
    $("folder").hidden = pool !== null;
    $("pool").hidden = pool === null;
    if (pool === null) showFolder(sample);
    else showPool(sample);
    if (isFirst && pool !== null) map.focus();
    live("live", `live, every ${duration(sample.every)}`);
  };
  stream.onerror = () => live("waiting", "the connection is lost; trying again");
  stream.addEventListener("end", () => {
    stream.close();
    live("ended", "xmem serve has ended; this is how it was");
  });
}

addEventListener("hashchange", open);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const help = $("help");
  if (event.key === "?") {
    if (help.open) help.close();
    else help.showModal();
    return;
  }
  if (help.open) return;
  const inDetails = $("details").contains(document.activeElement);
  if (event.key === "Escape" && inDetails) map.focus();
  else if (event.key === "Escape" && pool !== null) location.hash = "pools";
  const links_ = links();
  const place = links_.indexOf(document.activeElement);
  const steps = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: links_.length - 1 };
  const to = /** @type {Record<string, number>} */ (steps)[event.key];
  if (pool !== null || to === undefined) return;
  event.preventDefault();
  links_[Math.max(0, Math.min(links_.length - 1, to))]?.focus();
});
$("help-open").addEventListener("click", () => $("help").showModal());
open();
