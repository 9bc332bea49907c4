"""The same as detect.ts, in Python: it takes that one's place, also in the middle of a run.

The numbers are whole until the last comparison, so that both see the same in the same frame.
"""

import os
from typing import Optional, Tuple

import numpy as np
from xmem import Pool

WIDTH, HEIGHT = 1280, 720
BAYS = [(160 + bay % 6 * 160, 60 if bay < 6 else 440, 160, 220) for bay in range(12)]
INSET = 28
REFERENCE = (1140, 300, 120, 120)
STEP = 2
THRESHOLD = 0.12
PATIENCE = 5
PAGE_LENGTH = 2 + len(BAYS)


def sums_of(luma: np.ndarray, box: Tuple[int, int, int, int]) -> Tuple[int, int, int]:
    x, y, width, height = box
    part = luma[y : y + height : STEP, x : x + width : STEP].astype(np.int64)
    return part.size, int(part.sum()), int((part * part).sum())


def reading_of(luma: np.ndarray) -> int:
    count, total, _ = sums_of(luma, REFERENCE)
    limit = THRESHOLD * total / count
    bits = 0
    for bay, (x, y, width, height) in enumerate(BAYS):
        inner = (x + INSET, y + INSET, width - 2 * INSET, height - 2 * INSET)
        count, total, squares = sums_of(luma, inner)
        mean = total / count
        if squares / count - mean * mean > limit * limit:
            bits |= 1 << bay
    return bits


def number_in(luma: np.ndarray) -> int:
    lit = (luma[24, 24 + 20 * digit] > 128 for digit in range(16))
    return sum(1 << digit for digit, is_lit in enumerate(lit) if is_lit)


def remember(
    memory: np.ndarray, number: int, returns: bool, reading: int
) -> Optional[Tuple[int, int]]:
    """As in detection.ts: None where the frame was taken before."""
    page = (number & 1) * PAGE_LENGTH
    before = PAGE_LENGTH - page
    if memory[page] == number + 1 and not returns:
        return None
    if memory[before] == number + 2:
        return None
    if number > 0 and memory[before] != number:
        raise RuntimeError(f"a frame before {number} is lost")
    was = reading if number == 0 else int(memory[before + 1])
    occupied = was
    memory[page] = 0
    for bay in range(len(BAYS)):
        differs = (reading ^ was) >> bay & 1
        so_far = 0 if number == 0 else int(memory[before + 2 + bay])
        count = so_far + 1 if differs else 0
        if count >= PATIENCE:
            occupied ^= 1 << bay
            count = 0
        memory[page + 2 + bay] = count
    memory[page + 1] = occupied
    memory[page] = number + 1
    return occupied, occupied ^ was


with Pool.open(os.environ["POOL"], participant_name="detect") as pool:
    kept = pool.channel("memory of detect").receive_blocking()
    memory = kept.array("int32")
    seen = pool.channel("seen", subscribe=False)
    events = pool.channel("events")
    for frame in pool.channel("frames"):
        number = frame.meta.sequence
        luma = frame.array("uint8")[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)
        if number_in(luma) != number:
            raise RuntimeError(f"frame {number} shows {number_in(luma)}")
        found = remember(memory, number, frame.deliveries > 1, reading_of(luma))
        if found is None:
            frame.release()
            continue
        occupied, changed = found
        frame.meta.content_type = f"I420 {occupied:03x} {changed:03x}"
        seen.send_blocking(frame.clone())
        if changed == 0:
            frame.release()
        else:
            events.send_blocking(frame)
