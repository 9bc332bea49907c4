// Finds the option that a user probably meant by a name that does not exist.

/** A sentence for the message of the error. */
export function suggestion(name: string, options: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(options);
  const nearest = nearestOf(name, names);
  if (nearest !== undefined) return `did you mean "${nearest}"?`;
  return `the options are ${names.map((each) => `"${each}"`).join(", ")}`;
}

/** The name that was probably meant; undefined where none is near. */
export function nearestOf(name: string, names: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  const distances = names.map((each) => {
    const known = each.toLowerCase();
    // A name that contains the other one is near it, however long the rest is.
    return known.includes(given) || given.includes(known) ? 1 : distance(given, known);
  });
  const least = Math.min(...distances);
  return least <= Math.max(2, name.length / 2) ? names[distances.indexOf(least)] : undefined;
}

/** How many letters must be added, removed or replaced to make one of the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (const [place, other] of [...to].entries()) {
      const replaced = (row[place] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[place + 1] ?? 0) + 1, (next[place] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
