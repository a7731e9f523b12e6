export { hubCacheFolder } from "./hub-cache.js";
export { HubError, type HubErrorReason } from "./hub-error.js";
export { isHubSource } from "./hub-reference.js";
export { type HubOptions, type HubProgress, resolveHubModel } from "./resolve-hub-model.js";
