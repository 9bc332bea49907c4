// Every question of the suite, in the order in which it asks them.

import { acquire } from "./acquire.ts";
import { applications } from "./applications.ts";
import { capacity } from "./capacity.ts";
import { contention } from "./contention.ts";
import { handover } from "./handover.ts";
import { participants } from "./participants.ts";
import { sizesQuestion } from "./sizes.ts";
import type { Question } from "./suite/question.ts";
import { throughput } from "./throughput.ts";
import { views } from "./views.ts";
import { waiting } from "./waiting.ts";

export const questions: readonly Question[] = [
  acquire,
  contention,
  handover,
  throughput,
  waiting,
  capacity,
  participants,
  sizesQuestion,
  views,
  applications,
];
