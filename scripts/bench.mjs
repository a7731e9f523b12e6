// `npm run bench`: gets the clone ready, then measures against PyTorch, where a system PyTorch is installed.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

await import("./setup.mjs");

const run = fileURLToPath(new URL("../tests/bench/run.ts", import.meta.url));
const child = spawn(process.execPath, ["--import", "tsx", run, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
