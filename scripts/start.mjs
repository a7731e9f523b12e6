// The main job: gets the clone ready, then runs the first research notebook and leaves its results in out/.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

await import("./setup.mjs");

const root = fileURLToPath(new URL("..", import.meta.url));
const notebook = path.join("notebooks", "01-look-inside.ipynb");
const output = "out";

const args = [path.join("dist", "kernel", "cli.js"), "run", notebook, "--output", output, "--html"];
const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
// Ctrl-C reaches the run as well; it cleans up, and its exit code becomes ours.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code) => {
  const page = path.join(root, output, "01-look-inside.html");
  if (code === 0 && existsSync(page)) console.log(`\nOpen the result in a browser: ${pathToFileURL(page)}`);
  process.exitCode = code ?? 1;
});
