export * from "./graph.js";
