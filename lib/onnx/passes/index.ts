export { blockConvolutions, blockedDomain, hasComputedKernels } from "./block-convolutions.js";
export { type CutPoints, cut } from "./cut.js";
export { eliminateDeadCode } from "./eliminate-dead-code.js";
export { expose, infoOf } from "./expose.js";
export { type FoldOptions, foldConstants } from "./fold-constants.js";
export { rename, renameReads } from "./rename.js";
export { capturesOf, definedNames, freshNames, mapSubgraphs, readsOf, subgraphsOf, usedNames } from "./scope.js";
export { type BuildEdit, type SplicedNodes, splice } from "./splice.js";
export { type ToFloat16Options, toFloat16 } from "./to-float16.js";
