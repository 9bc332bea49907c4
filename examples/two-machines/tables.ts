// What came of every frame, and how long it took, as tables.

import Table from "cli-table3";
import { frameSize } from "../parking/lot.ts";
import type { Place } from "./machine.ts";

export interface Counts {
  frameCount: number;
  lost: number;
  doubled: number;
  overtaken: number;
  damaged: number;
  /** Of both pools, in the end. */
  buffersInUse: number;
  seconds: number;
  killed: Map<string, number>;
  isFilm: boolean;
}

export function countsTable(counts: Counts): string {
  const { frameCount, lost, doubled, overtaken, damaged, seconds, killed, isFilm } = counts;
  const megabytes = (((frameCount - lost) * frameSize) / 1e6).toFixed(0);
  const deaths = [...killed].map(([name, count]) => `${name} ${count}`);
  const table = new Table({ style: { head: [], border: [] }, wordWrap: true, colWidths: [24, 60] });
  table.push(
    { frames: `${frameCount} of 720p, ${isFilm ? "decoded by ffmpeg" : "drawn without ffmpeg"}` },
    { bytes: `${megabytes} MB, in ${seconds.toFixed(0)} s` },
    { lost },
    { doubled },
    { "out of order": overtaken },
    { damaged },
    { "buffers still in use": counts.buffersInUse },
    { killed: deaths.length === 0 ? "nobody" : deaths.join(", ") },
  );
  return table.toString();
}

const hops: [string, Place, Place][] = [
  ["captured, until the exporter has it", "captured", "exported"],
  ["until the server has it", "exported", "stored"],
  ["until it is in the far pool", "stored", "imported"],
  ["until it was looked at", "imported", "detected"],
  ["until its result is back", "detected", "back"],
  ["all of it", "captured", "back"],
];

export function timesTable(places: Map<Place, Map<number, number>>): string {
  const head = ["milliseconds", "frames", "half of them", "95 of 100", "all"];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const [name, from, to] of hops) {
    const times: number[] = [];
    for (const [sequence, at] of places.get(to) ?? []) {
      const before = places.get(from)?.get(sequence);
      if (before !== undefined) times.push((at - before) / 1000);
    }
    times.sort((a, b) => a - b);
    const within = (part: number): string =>
      (times[Math.ceil(part * times.length) - 1] ?? Number.NaN).toFixed(1);
    table.push([name, times.length, within(0.5), within(0.95), within(1)]);
  }
  return table.toString();
}
