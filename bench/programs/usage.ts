// What an application used: the time, and the processor and memory of all its processes.

import type { Subprocess } from "bun";

export interface Usage {
  seconds: number;
  "cpu seconds": number;
  "peak MiB": number;
}

/**
 * Of this process since it began, and of its children, which have ended. Peaks are added up although
 * they need not be at one time; a page that several processes map counts for each.
 */
export function usage(seconds: number, children: readonly Subprocess[]): Usage {
  const own = process.resourceUsage();
  let cpu = (own.userCPUTime + own.systemCPUTime) / 1e6;
  let peak = own.maxRSS / 1024;
  for (const child of children) {
    const used = child.resourceUsage();
    if (used === undefined) throw new Error("a child has not ended");
    cpu += Number(used.cpuTime.total) / 1e6;
    peak += used.maxRSS / 1024 / 1024;
  }
  return { seconds, "cpu seconds": cpu, "peak MiB": peak };
}
