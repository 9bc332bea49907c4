// Why a figure of xmem is worse than a peer's, for docs/performance.md: the first reason that fits a
// pair of rows is given. A figure without a reason stops the document from being written.

import type { Reason } from "./suite/worse.ts";

const any = /./;

function of(question: string, ours: RegExp, theirs: RegExp, because: string): Reason {
  return { question, ours, theirs, because };
}

const python = `Python calls the library through ctypes, which costs about a microsecond a call, and makes an
object for each guard.`;

const handles = `The handle travels by Bun's own messages: most of the time is theirs, and the pool adds an acquire,
a hand-over, a take and a release.`;

const spinning = `Both sides of that peer look for the next buffer without a pause, which keeps two cores busy for
ever. This row sleeps when there is nothing for a while.`;

const ringByHand = `A ring by hand in a SharedArrayBuffer stays in one process, counts no references, checks nothing, and
waits for ever for a thread that ended.`;

const looksFirst = `A waiter of xmem looks for some tens of microseconds before it sleeps, so that a quick answer
arrives within a microsecond. Where the answer takes longer, that is processor time for nothing.`;

export const reasons: readonly Reason[] = [
  of(
    "acquire",
    /detach/,
    any,
    `With \`views: "detach"\` the engine makes a view at each acquire and detaches it at each release, and the
detaching costs more the larger the view is. The default, \`"shared"\`, keeps views.`,
  ),
  of("acquire", /Python/, any, python),
  of(
    "acquire",
    any,
    /rte_mempool/,
    `rte_mempool checks nothing, counts no references, and loses what a dead process had. With its cache a thread
takes from a list of its own, and touches no shared word.`,
  ),
  of(
    "acquire",
    /sizes/,
    any,
    `The engine has to make a view for each size that the cache of views does not have.`,
  ),
  of(
    "acquire",
    /share \+ take/,
    any,
    `It is three operations on a buffer in use, each a compare-and-swap, where the peer does two on a free one.`,
  ),
  of(
    "contention",
    any,
    /iceoryx2/,
    `A publisher of iceoryx2 takes from memory of its own, so that its processes contend for nothing but the
cores. xmem's buffers are everybody's, and each acquire and each release changes one word that all share.`,
  ),
  of(
    "contention",
    any,
    /rte_mempool/,
    `One thread alone has rte_mempool's ring in its cache, and rte_mempool checks nothing. Its threads wait for each
other in the middle of an operation, which several processes on few cores show.`,
  ),
  of(
    "contention",
    any,
    /Boost|GstBufferPool/,
    `A lock that sleeps hands its turn to the one that waits. xmem has no lock: the process whose core has the
shared word in its cache goes on until another one gets it.`,
  ),
  of("handover", /Python/, any, python),
  of("handover", /handle by/, any, handles),
  of("handover", /both spin/, /SharedArrayBuffer/, ringByHand),
  of("handover", any, /both spin/, spinning),
  of(
    "handover",
    /async/,
    any,
    `A wait in an event loop that sleeps needs a thread that wakes the loop, and a turn of the loop.`,
  ),
  of("handover", any, any, looksFirst),
  of("throughput", /Python/, any, python),
  of("throughput", /handle by|async/, any, handles),
  of("throughput", any, /SharedArrayBuffer/, ringByHand),
  of("throughput", any, /both spin/, spinning),
  of("waiting", /Python/, any, python),
  of(
    "waiting",
    /async/,
    any,
    `A wait in an event loop that sleeps needs a thread that wakes the loop, and a turn of the loop; the thread
looks for a moment before it sleeps.`,
  ),
  of("waiting", any, any, looksFirst),
  of(
    "views",
    /held/,
    any,
    `The engine counts the memory of views of a held buffer as its own heap, and collects more often.`,
  ),
  of(
    "applications",
    any,
    /Workers/,
    `Workers are threads: one process has one copy of the engine's memory, and no page is mapped twice.`,
  ),
  of(
    "applications",
    any,
    /alone/,
    `The work is about as short as passing a picture on: the body is copied into a buffer and out of it, and two
more processes run.`,
  ),
];
