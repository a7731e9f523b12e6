export { currentSignal } from "../runtime/task.js";
export { type Live, type LiveOptions, live } from "./live.js";
export { escapeMarkdown, html, MarkdownBlock, md } from "./markup.js";
export { type Progress, type ProgressOptions, progress } from "./progress.js";
export { type DisplayData, type NotebookRuntime, notebookRuntime } from "./runtime.js";
export { bundleOf, show } from "./show.js";
export { watchTasks } from "./tasks.js";
