// Every question of the suite, in the order in which it asks them.

import { acquire } from "./acquire.ts";
import type { Question } from "./suite/question.ts";

export const questions: readonly Question[] = [acquire];
