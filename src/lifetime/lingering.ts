// Memory that cannot be given back yet, because a view of it is alive and cannot be detached: the
// engine has it pinned for I/O, or it was transferred elsewhere. It is tried again until it
// succeeds.

const tries = new Set<() => boolean>();
/**
 * Milliseconds between two tries. Most I/O ends soon; for the rest, ten tries a second are enough.
 */
const delayMin = 10;
const delayMax = 100;
let delay = delayMin;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls `attempt` now and then, until it returns true. The process may end before that. */
export function linger(attempt: () => boolean): void {
  tries.add(attempt);
  // A timer that is set already stays, so that frequent calls cannot put it off for ever.
  if (timer !== undefined && delay === delayMin) return;
  delay = delayMin;
  again();
}

function again(): void {
  clearTimeout(timer);
  timer = setTimeout(retry, delay);
  timer.unref();
}

function retry(): void {
  timer = undefined;
  for (const attempt of tries) if (attempt()) tries.delete(attempt);
  delay = Math.min(delay * 2, delayMax);
  if (tries.size > 0) again();
}

/**
 * Detaches a buffer, without a copy: its old views have length 0 afterwards. Returns false where
 * the engine has it pinned.
 */
export function detach(buffer: ArrayBuffer): boolean {
  if (!buffer.detached) buffer.transfer(0);
  return buffer.detached;
}

/** Detaches a buffer if it is still alive: now, or when I/O has let go of it. */
export function detachLater(ref: WeakRef<ArrayBuffer>): void {
  const attempt = (): boolean => {
    const buffer = ref.deref();
    return buffer === undefined || detach(buffer);
  };
  if (!attempt()) linger(attempt);
}
