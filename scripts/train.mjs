// `npm run train -- shapes/<recipe>`: gets the clone ready, then runs one training recipe; Ctrl-C leaves a checkpoint.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

await import("./setup.mjs");

const main = fileURLToPath(new URL("../dist/models/shapes/recipes/main.js", import.meta.url));
const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { stdio: "inherit" });
process.on("SIGINT", () => undefined);
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
