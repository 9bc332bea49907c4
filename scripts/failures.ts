// What failed in a run, and the list of it with which a run ends. `.ci/run` repeats that list, because
// a long log is often read from its end only.

export interface Failure {
  /** The file and the name of a test, or the name of another check. */
  name: string;
  /** The error as it was printed; its start is listed. */
  detail: string;
}

export interface Count {
  passed: number;
  failures: Failure[];
}

const linesMax = 15;

/** The line that starts the list. `.ci/run` looks for it, and for the summary that ends it. */
const heading = "These failed:";

/** Prints the list, if there is anything to list. */
export function list(failures: Failure[]): void {
  if (failures.length > 0) console.log(`\n${heading}`);
  for (const { name, detail } of failures) {
    console.log(`- ${name}`);
    for (const line of linesOf(detail).slice(0, linesMax)) console.log(`    ${line}`);
  }
}

/** Ends a run: the list, and the line that sums up. */
export function report({ passed, failures }: Count): void {
  list(failures);
  console.log(`${passed} passed, ${failures.length} failed`);
}

/** The last lines of an output, or the list of what failed that it ends with. */
export function endOf(output: string): string {
  const list = output.lastIndexOf(`\n${heading}\n`);
  if (list >= 0) return output.slice(list + heading.length + 2);
  return linesOf(output).slice(-linesMax).join("\n");
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}
