// What was tried for speed and what it gave, also where that was nothing: the hand-written end of
// docs/performance.md. Its figures are those of one run on the machine named there, as ratios.

export const tried = `## What was tried

**A cache of free slots per participant** (\`localCache\`, off by default). A release puts the slot aside
for the thread's own next acquire, so that neither changes the list's head, which all participants share:
two compare-and-swaps instead of three, both on the slot's own word.

- Alone it gains nothing. The native part of an acquire and a release took 13.5 to 14.2 ns without a
  cache and 14.1 to 14.5 ns with one, where the bare pop and push take 6.3 ns; 180 instructions
  without, 190 with. The third compare-and-swap was not what cost: it runs beside the other instructions.
- The aim of 1.3 times the bare pop and push, from TypeScript, is out of reach. With one of the two
  compare-and-swaps replaced by plain stores, which would be wrong, the native part still takes 12.5 to
  14.0 ns, twice the bare pop and push: the rest are the bracket, the checks of what is read from shared
  memory, the description, the hold, the counters and the open's own count. The two calls from
  JavaScript and the guard add 8 to 11 ns.
- Asking in every acquire whether the thread has a cache cost others up to 13 of 180 instructions, by the
  registers that had to be saved. So an open with a cache makes calls of its own, and the calls of all
  others are the same to the instruction.
- From C an open with a cache went the general way at first, 55 ns. It has a straight line now: 31.4 ns, where one
  without a cache took 27.0 and the bare pop and push 7.9 in the same rounds (medians of 5): 4.0 and 3.4 times those. 371
  instructions with a cache, 306 without. The two ways are functions of their own; that the call asks which one costs the
  way without a cache 12 instructions, for which there is no separate call in C.
- The moves of \`trim\` and \`preallocate\` ended with a wake of those who wait for work on memory. Most moves have nobody
  who waits, so that now all moves only change a word of the mover's row, and one who met a move sleeps for 1 ms at most.
- What it is for is contention. Of two processes that acquired and released at the same time, each on a
  core of its own, an operation took 84 ns and more in each without a cache, six times what it takes
  alone, since they take the head's cache line from each other and try again. With a cache it took 15.0
  to 15.3 ns, 1.03 times what it takes alone. Only batches during which the other process was running
  count here.
- A search of all caches for an acquire that finds the list empty looked right and was not: the explorer
  showed a slot that goes into a cache behind the search while another is taken ahead of it, and then,
  with a counter against that, a release that had raised the counter and not yet changed the word.
  docs/protocol.md says what came of it.

**A library that is built for size** (ReleaseSmall instead of ReleaseFast, and no frame pointers). It has 280 KB
instead of 454. What the fast path consists of was inline by its own words before; the rest is larger with
ReleaseFast, and not faster. Of both, in turn, on a busy machine, the best of 150 batches from TypeScript:

- acquire + release 16.3 ns with either; get, clone, share + take and send + receive were 2 to 5 % slower at first,
  and as fast or faster without frame pointers, which took 1 to 6 % of the instructions.
- create, open, close, reclaim, stats and trim with a million slots were the same within the noise.
- Zeroing 1 MiB took 20 times as long, since Zig's own \`memset\`, byte by byte, hid libc's. It is left out now.

**A straight line from C.** The form for C went the general way: 539 instructions for an acquire and a release, where
the form for Bun has 235. It has 294 now, with the thread that may call, the bounds of the handle and the text of
the last failure still checked or forgotten in each call; both are of one block of the thread's memory, so that one
address is looked up.

**Creating a pool of a million slots** takes 390 to 800 ms on a busy machine, of which its control area of 404 MB is
nearly all: committing and mapping a file of that size in the same way took 443 to 755 ms in the same rounds, so that the
ratio was 0.6 to 1.8. A touch of each page instead took 417 to 699 ms. There is one pass over the slots.

**A look before the compare-and-swap of a release.** The common release supposes that it gives back the only
reference. Where there are others, that compare-and-swap failed, and cost as much as one that does not fail, with a
bracket of its own. A load before it made get + release and clone + release 7 % faster, share + take + release 4 %,
and acquire + release 1 % slower.

**A round trip through two channels.** Much of what it cost in TypeScript was the benchmark's: its loops were async
functions, which the engine compiles to slower code, also where they await nothing. Measured by plain loops, as the
programs in C and Rust are, a round trip between two Bun processes that spin took 0.54 of that.

- A message moves three cache lines from one core to the other: the cell, the slot's and the buffer's first one. A send
  asks for the cell now to change it, where it came twice, first to be read; a receive asks for the other two while the
  cell changes. Spinning took 0.78 of the time before, blocking 0.92, in turn; within one thread it made no difference.
- Two processes on one processor that pass a word by a futex, bare or with more, in turn, least of 300 batches: a
  wait with a timeout and the clock for it took 1.12 times as long a round trip as one without; one vain wake more with
  each wake 1.15 times; both 1.28 times. A channel whose receiver sleeps makes one wake and one wait for each message,
  as the bare futex does, so no call can be left out. The timeout explains 0.12 of the 0.45 by which a parked round
  trip is above the bare one; where the rest goes was not measured. Waits keep their timeout: it is how a waiter
  notices that a waker died between its change and its wake.

**Straight lines for get, take, share and clone.** They went the general way, with a bracket and a loop around each
attempt, and their handles crossed as doubles, which both sides converted. They have a look, one compare-and-swap and
the row's change now, as an acquire has, and cross as index and generation; a release that leaves references has the
same. Of both, in turn, on a busy machine, the best of 150 batches from TypeScript, beside 17 ns for acquire + release in both:
get + release 29 to 19 ns, clone + release 32 to 18, share + take + release 61 to 37. The instructions fell from 460
to 261 and from 744 to 407. What is left of a share is the clock, which its lease needs: the ticking thread's time will
not do there, since it is old right after a process was stopped. A handle that is multiplied by 2^-24 instead of
divided by 2^24 made no difference.
`;
