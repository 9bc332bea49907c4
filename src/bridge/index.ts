export type { BridgeEvent, BridgeEventType, BridgeListener } from "./events.ts";
export { type Exporter, type ExportOptions, type ExportStats, exportChannel } from "./exporter.ts";
export { type Importer, type ImportOptions, type ImportStats, importChannel } from "./importer.ts";
export {
  type ExportRequestsOptions,
  exportRequests,
  type ImportRequestsOptions,
  importRequests,
  type RequestExporter,
  type RequestImporter,
  type RequestStats,
} from "./requests.ts";
