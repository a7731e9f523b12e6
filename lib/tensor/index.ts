export * from "./random.js";
export * from "./tensor.js";
export * from "./torch-random.js";
