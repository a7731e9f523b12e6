// A front end that starts an endless cell and is then killed; what remains must end by itself.
import { EngineProcess } from "../../dist/kernel/engine-process.js";

const engine = await EngineProcess.start(process.argv[2]);
void engine.execute("while (true) {}", { label: "cell[1]", onEvent: () => undefined });
setTimeout(() => process.send(engine.pid), 500);
