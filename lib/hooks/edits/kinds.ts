// One line per kind of edit: `at(pattern)` has a method for each, and recipes know it by that name.
export { ablate } from "./ablate.js";
export { add } from "./add.js";
export { call } from "./call.js";
export { graph } from "./graph.js";
export { lowRank } from "./low-rank.js";
export { patch } from "./patch.js";
export { projectOut } from "./project-out.js";
export { replace } from "./replace.js";
export { scale } from "./scale.js";
