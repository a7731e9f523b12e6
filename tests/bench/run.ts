import { mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closeRuntime } from "../../lib/runtime/index.js";
import { writeFileAtomic } from "../../lib/tensor/index.js";
import type { Bench, Measurement } from "./bench.js";
import { codec } from "./codec.bench.js";
import { generation } from "./generation.bench.js";
import { gradient } from "./gradient.bench.js";
import { hooks } from "./hooks.bench.js";
import { noTorch } from "./peers/torch-peer.js";
import { sae } from "./sae.bench.js";
import { unet } from "./unet.bench.js";

const all: readonly Bench[] = [sae, unet, gradient, hooks, generation, codec];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !all.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`bench: no bench ${unknown.join(", ")}; there are ${all.map((bench) => bench.name).join(", ")}`);
  process.exit(1);
}
if (noTorch !== undefined) console.log(`Our times alone; ${noTorch}.`);

const results: Measurement[] = [];
for (const bench of all) {
  if (asked.length > 0 && !asked.includes(bench.name)) continue;
  console.log(bench.name);
  for (const result of await bench.run()) {
    results.push(result);
    console.log(`  ${lineOf(result)}`);
  }
  await closeRuntime();
}

const out = fileURLToPath(new URL("../../out", import.meta.url));
mkdirSync(out, { recursive: true });
const report = { date: new Date().toISOString(), processor: cpus()[0]?.model, results };
await writeFileAtomic(join(out, "bench.json"), [new TextEncoder().encode(`${JSON.stringify(report, undefined, 2)}\n`)]);

function lineOf({ name, ours, against, peer, ratio, cpuRatio, wanted, note }: Measurement): string {
  const ms = (value: number): string => `${value.toPrecision(3)} ms`;
  const goal = wanted === undefined ? "" : ` (wanted ≤ ${wanted})`;
  const compared =
    peer === undefined
      ? ""
      : `; ${against} ${ms(peer)}; ratio ${ratio?.toFixed(3)}${goal}${cpuRatio === undefined ? "" : `, of processor time ${cpuRatio.toFixed(3)}`}`;
  return `${name}: ${ms(ours)}${compared}${note === undefined ? "" : `; ${note}`}`;
}
