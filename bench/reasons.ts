// Why a figure of xmem is worse than a peer's, for docs/performance.md: the first reason that fits a
// pair of rows is given. A figure without a reason stops the document from being written.

import type { Reason } from "./suite/worse.ts";

export const reasons: readonly Reason[] = [];
