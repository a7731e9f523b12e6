export * from "./builder.js";
export * from "./embed.js";
export * from "./initialize.js";
export * from "./layers.js";
export * from "./nets/index.js";
export { type Operand, Value } from "./value.js";
