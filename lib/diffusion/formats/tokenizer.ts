export * from "./tokenizers/index.js";
