// What was tried for speed and what it gave, also where that was nothing: the hand-written end of
// docs/performance.md. Its figures are those of one run on the machine named there, as ratios.

export const tried = `## What was tried

**A cache of free slots per participant** (\`localCache\`, off by default). A release puts the slot aside
for the thread's own next acquire, so that neither changes the list's head, which all participants share:
two compare-and-swaps instead of three, both on the slot's own word.

- Alone it gains nothing: the native part of an acquire and a release takes 10.6 ns with a cache, 10.8 without,
  where the bare pop and push take 5.9. The third compare-and-swap is not what costs: it runs beside the other
  instructions.
- The aim of 1.3 times the bare pop and push, 7.6 ns from TypeScript, is out of reach: the two calls from JavaScript
  and the guard take 2.9 ns, and the least that both operations could be, inline in one loop in C with the same
  words, bracket and checks, but with no call and one pool, 7.2 ns.
- Asking in every acquire whether the thread has a cache cost others up to 13 of 180 instructions, by the
  registers that had to be saved. So an open with a cache makes calls of its own, and the calls of all
  others are the same to the instruction.
- From C an open with a cache went the general way at first, 55 ns, then a straight line of its own, which takes 14.5 ns
  now where one without a cache takes 12.6. The two ways are functions of their own; that the call asks which one
  costs the way without a cache some instructions, for which there is no separate call in C.
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
the form for Bun had 235. They are 226 and 179 now. Two calls of the loader's, for the address of a thread's variable,
were 2.6 of 15.3 ns: a thread is told by the pointer that its libc keeps in a register, and one word of the process says
that no thread has a failure to forget.

**Registers.** A register that a function saves is a store which has to drain before the function's next atomic
operation, and a load after it. In C, on words laid out like those of a pool, an acquire and its release took 7.8 ns as
two calls that save nothing, and 13.4 ns where both save the six registers that a callee may have to save. Ours saved
all six, and spilled more. What helped, in order:

- Everything uncommon is a call in tail position, so that nothing is kept for it: also a frozen list's push, the wake of a
  waiter, and a release of one reference of several.
- Little is kept across an atomic operation. The row's counter is read again at the end, the time is read after the
  compare-and-swap and not before. Reading the row's address again as well was slower: the store that ends the operation
  then waits for two loads.
- An index, of which some places need 24 bits, some 32 and some 64, was in three registers. An empty line of assembly
  hides where a number comes from, and it stays in one.
- One comparison instead of several where a word is plainly what it should be; the hold of a buffer that nobody else has
  is stored, and not counted; sizes are compared with bytes that are whole pages anyway, and not rounded up first; what
  a call made stands in the record of the open pool, and not in a table beside it.
- A new head by shifts instead of by a mask, which takes a register, saved none and took 0.7 ns more.

Best of 3000 batches, native, with the bare pop and push at 5.9 ns: acquire + release 14.3 to 10.8 ns, get + release 13
to 10, share + take + release 23 to 18.5, send + receive 48 to 37 (from TypeScript). From TypeScript, acquire + release 17 to 13.6.
ReleaseFast, which has larger functions with the same registers, is as fast.

**Processes that are slow for a while.** Of two processes that run the same loop one could take 17 ns for an operation
and the other one 29, for seconds. It is neither the process nor the engine: a program in C did the same, on the same
addresses, and while it did, a loop of additions that depend on nothing took 1.2 to 1.7 times as long as at other times.
Another guest of the host runs on the other half of the core then. The bare pop and push waits for its atomic operations
and leaves most of the core to the other half, and so takes as long as alone. So of a row of
nanoseconds the least figure is that of a core alone, and its median may be that of half a core, beside a yardstick
of a whole one: in one run an acquire and a release from TypeScript took 13.8 ns at best, 2.2 times the yardstick,
and 20.5 in the median; in the run of this page, in a quiet hour of the host, 13.8 in both. To ask a row only while the additions were fast was tried: on a busy host no
moment of rest is as long as a row takes.

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
- A receiver that asks again and again is told by one look at the cell at the head that there is nothing. Before, each
  empty look went the whole general way, and a message was noticed late by half of that: with the straight lines of
  both operations, a round trip between two Bun processes that spin went from 0.35 to 0.31 us, and to 0.38 of
  iceoryx2's from Rust in turn with it (medians of 5); with blocking calls to 0.40 us, 0.49 of it.
- Two processes on one processor that pass a word by a futex, bare or with more, in turn, least of 300 batches: a
  wait with a timeout and the clock for it took 1.12 times as long a round trip as one without; one vain wake more with
  each wake 1.15 times; both 1.28 times. A channel whose receiver sleeps makes one wake and one wait for each message,
  as the bare futex does, so no call can be left out. Waits keep their timeout: it is how a waiter notices that a waker
  died between its change and its wake.
- One wake on another processor, from C, five rounds in turn, medians: a bare futex 8.6 us, one whose wait has a timeout
  9.7, a channel 10.8. So the timeout is half of what a channel takes above a bare futex, and a channel is 1.11 times a
  futex with one.
- Both sides asleep, on one processor, beside a word that two C programs pass by a bare futex (1.00, 4.8 us): the same
  word from Bun, by the same two calls, 1.07; with a timeout and the clock for it 1.18; channels from C 1.13; channels
  from Bun 1.37. So a channel itself adds little to the two system calls, and the engine more: after each switch of the
  processor the code and the objects of the other side come back into the caches, and a guard, three calls and their
  checks are more of both than a loop around two system calls.

**Straight lines for get, take, share and clone.** They went the general way, with a bracket and a loop around each
attempt, and their handles crossed as doubles, which both sides converted. They have a look, one compare-and-swap and
the row's change now, as an acquire has, and cross as index and generation; a release that leaves references has the
same. Of both, in turn, on a busy machine, the best of 150 batches from TypeScript, beside 17 ns for acquire + release in both:
get + release 29 to 19 ns, clone + release 32 to 18, share + take + release 61 to 37. The instructions fell from 460
to 261 and from 744 to 407. What is left of a share is the clock, which its lease needs: the ticking thread's time will
not do there, since it is old right after a process was stopped. A handle is taken apart in the core since,
which has one instruction to make a whole number of a double where JavaScript goes back and forth between doubles and
integers: share + take + release took 26.5 ns instead of 31.3, though it is 20 instructions more in the core.

**tryAcquire beside acquire.** A loop that called \`tryAcquire\` took 23 ns where one that called \`acquire\` took 13.7,
with \`using\` or with \`const\` and \`release()\`. The engine leaves out an object that nobody keeps; it did not where
a branch before its creation returned null, though no loop ever took that branch. With the common case first, and null
and the errors after it, both take 13.7 ns; \`tryReceive\` and \`trySend\` likewise, send + receive 37 to 26 ns.
`;
