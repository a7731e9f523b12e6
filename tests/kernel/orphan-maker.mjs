// A front end that starts an endless cell, or a Jupyter that starts a kernel, and is then killed: what remains must end by itself.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { EngineProcess } from "../../dist/kernel/engine-process.js";

const [, , folder, connectionFile] = process.argv;
if (connectionFile) {
  const cli = fileURLToPath(new URL("../../dist/kernel/cli.js", import.meta.url));
  const kernel = spawn(process.execPath, [cli, "kernel", connectionFile], { cwd: folder, stdio: "ignore" });
  setTimeout(() => process.send(kernel.pid), 5_000);
} else {
  const engine = await EngineProcess.start(folder);
  void engine.execute("while (true) {}", { label: "cell[1]", onEvent: () => undefined });
  setTimeout(() => process.send(engine.pid), 500);
}
