// `npm run docs`: gets the clone ready, then makes the documentation's site in out/docs.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

await import("./setup.mjs");

const main = fileURLToPath(new URL("docs/main.ts", import.meta.url));
const child = spawn(process.execPath, ["--import", "tsx", main, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
