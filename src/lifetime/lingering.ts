// What cannot be given back yet, because a view of it is alive that cannot be detached: the engine has
// it pinned for I/O, or it was transferred elsewhere. Tried again until it is done.

const tries = new Set<() => boolean>();
/** Milliseconds. I/O mostly ends soon; that which does not is looked at ten times a second. */
const delayMin = 10;
const delayMax = 100;
let delay = delayMin;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls `attempt` now and then, until it returns true. The process may end before that. */
export function linger(attempt: () => boolean): void {
  tries.add(attempt);
  // However often it is called, the timer runs out.
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
