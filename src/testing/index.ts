export { failOnLeaks } from "./leaks.ts";
export { testPool } from "./pools.ts";
