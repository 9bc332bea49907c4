// A script that a signal ends leaves nothing behind: no process, no folder, no pool. Without this a
// signal ends it at once, past every `finally`.

const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
const cleanups = new Set<() => void>();

function end(signal: keyof typeof signals): void {
  for (const cleanup of [...cleanups].reverse()) {
    try {
      cleanup();
    } catch (error) {
      console.error(error);
    }
  }
  process.exit(128 + signals[signal]);
}

/**
 * Calls it where a signal ends this process; the last one is called first. The function that it
 * returns undoes that.
 */
export function whenInterrupted(cleanup: () => void): () => void {
  if (cleanups.size === 0) for (const signal of Object.keys(signals)) process.on(signal, end);
  cleanups.add(cleanup);
  return () => {
    cleanups.delete(cleanup);
    if (cleanups.size === 0) for (const signal of Object.keys(signals)) process.off(signal, end);
  };
}
