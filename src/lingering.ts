// What cannot be given back yet, because a view of it is alive that cannot be detached: the engine has
// it pinned for I/O, or it was transferred elsewhere. Tried again until it is done.

// As they are now: a test with fake timers must not keep a buffer for ever.
const { setTimeout, clearTimeout } = globalThis;

const tries = new Set<() => boolean>();
const delayMin = 10;
const delayMax = 1000;
let delay = delayMin;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls `attempt` now and then, until it returns true. The process may end before that. */
export function linger(attempt: () => boolean): void {
  tries.add(attempt);
  delay = delayMin;
  again();
}

function again(): void {
  clearTimeout(timer);
  timer = setTimeout(retry, delay);
  timer.unref();
}

function retry(): void {
  for (const attempt of tries) if (attempt()) tries.delete(attempt);
  delay = Math.min(delay * 2, delayMax);
  if (tries.size > 0) again();
}

/** Old views of it read length 0 afterwards. Nothing is copied. False: the engine has it pinned. */
export function detach(buffer: ArrayBuffer): boolean {
  if (!buffer.detached) buffer.transfer(0);
  return buffer.detached;
}

/** Detaches what may still be alive, now or when I/O has let go of it. */
export function detachLater(ref: WeakRef<ArrayBuffer>): void {
  const attempt = (): boolean => {
    const buffer = ref.deref();
    return buffer === undefined || detach(buffer);
  };
  if (!attempt()) linger(attempt);
}
