// `npm run evaluate`: gets the clone ready, then scores the embedded model with its classifiers and writes its card.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

await import("./setup.mjs");

const main = fileURLToPath(new URL("../dist/models/shapes/evaluate.js", import.meta.url));
const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
