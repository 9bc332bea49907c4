// Draws into a frame what was seen in it: a box and a number for each bay, red where a car stands, and
// how many there are.

import { type Box, bays, height, width } from "./lot.ts";

type Colour = readonly [y: number, u: number, v: number];
const red: Colour = [81, 90, 240];
const green: Colour = [145, 54, 34];
const white: Colour = [235, 128, 128];

/** Rows of 3 pixels each, from the top. */
const font: Record<string, string> = {
  ...{ "0": "75557", "1": "26227", "2": "71747", "3": "71317", "4": "55711", "5": "74717" },
  ...{ "6": "74757", "7": "71222", "8": "75757", "9": "75717", "/": "11244" },
};

export function draw(frame: Uint8Array, occupied: number): void {
  let count = 0;
  for (const [bay, box] of bays.entries()) {
    const isOccupied = ((occupied >> bay) & 1) === 1;
    if (isOccupied) count++;
    outline(frame, box, isOccupied ? red : green);
    write(frame, String(bay + 1), box.x + 12, box.y + 12, 4);
  }
  write(frame, `${count}/${bays.length}`, width / 2 - 60, height / 2 - 24, 8);
}

function paint(frame: Uint8Array, box: Box, [y, u, v]: Colour): void {
  const quarter = (width * height) / 4;
  for (let row = box.y; row < box.y + box.height; row++) {
    frame.fill(y, row * width + box.x, row * width + box.x + box.width);
    if (row % 2 === 1) continue;
    const start = width * height + ((row / 2) * width) / 2 + (box.x >> 1);
    frame.fill(u, start, start + (box.width >> 1));
    frame.fill(v, start + quarter, start + quarter + (box.width >> 1));
  }
}

function outline(frame: Uint8Array, { x, y, width: wide, height: high }: Box, as: Colour): void {
  const thick = 4;
  paint(frame, { x: x + 4, y: y + 4, width: wide - 8, height: thick }, as);
  paint(frame, { x: x + 4, y: y + high - 8, width: wide - 8, height: thick }, as);
  paint(frame, { x: x + 4, y: y + 4, width: thick, height: high - 8 }, as);
  paint(frame, { x: x + wide - 8, y: y + 4, width: thick, height: high - 8 }, as);
}

function write(frame: Uint8Array, text: string, x: number, y: number, scale: number): void {
  for (const [place, letter] of [...text].entries()) {
    for (const [row, bits] of [...(font[letter] ?? "")].entries()) {
      for (let column = 0; column < 3; column++) {
        if (((Number(bits) >> (2 - column)) & 1) === 0) continue;
        const left = x + (place * 4 + column) * scale;
        const dot = { x: left, y: y + row * scale, width: scale, height: scale };
        paint(frame, dot, white);
      }
    }
  }
}
