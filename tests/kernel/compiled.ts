import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { CellEvent } from "../../kernel/messages.js";

export { temporaryFolder } from "../temporary-folder.js";

/** The engine is a process of compiled JavaScript, so what starts it is tested as compiled, too. */
const compiled = (name: string): string => fileURLToPath(new URL(`../../dist/kernel/${name}.js`, import.meta.url));

export const CLI: string = compiled("cli");

if (!existsSync(CLI)) throw new Error("dist is missing; run npm run build (npm test does it by itself)");

type EngineModule = typeof import("../../kernel/engine-process.js");

const engineModule = (await import(compiled("engine-process"))) as EngineModule;
export const EngineProcess: EngineModule["EngineProcess"] = engineModule.EngineProcess;

type Engine = Awaited<ReturnType<typeof EngineProcess.start>>;

export interface Ran {
  readonly ok: boolean;
  readonly died: boolean;
  readonly events: readonly CellEvent[];
  /** Plain text of the result, where there is one. */
  readonly result: unknown;
  readonly stdout: string;
  readonly stderr: string;
  readonly error: Extract<CellEvent, { type: "error" }> | undefined;
}

/** Runs one cell and sorts what it did. */
export async function runCell(engine: Engine, code: string, label = "cell[1]", timeoutMs?: number): Promise<Ran> {
  const events: CellEvent[] = [];
  const { ok, died } = await engine.execute(code, { label, onEvent: (event) => events.push(event), timeoutMs });
  const ofType = <T extends CellEvent["type"]>(type: T) =>
    events.filter((event): event is Extract<CellEvent, { type: T }> => event.type === type);
  const text = (name: "stdout" | "stderr") =>
    ofType("stream")
      .filter((event) => event.name === name)
      .map((event) => event.text)
      .join("");
  return {
    ok,
    died,
    events,
    result: ofType("execute_result")[0]?.data["text/plain"],
    stdout: text("stdout"),
    stderr: text("stderr"),
    error: ofType("error")[0],
  };
}
