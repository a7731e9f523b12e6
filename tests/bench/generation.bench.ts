import { load, type Pipeline } from "../../lib/diffusion/index.js";
import { type Backend, type BackendSession, onnxruntime } from "../../lib/runtime/index.js";
import { type Bench, type Measurement, median, requireAgreement, threads, withFolder } from "./bench.js";
import { writeBigPipeline } from "./big-pipeline.js";

const rounds = 15;
const bigRounds = 7;
const steps = 20;
const prompts = ["a red circle", "a blue square", "a green triangle", "two yellow circles"];
const fiveHooks = ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"];

/**
 * What a guided generation costs beside its network runs: the whole of it against the sum of its runs inside ONNX Runtime, which
 * the runtime's sessions time themselves. Both come from the same generation, so nothing else on the machine weighs on one
 * alone. The embedded model's runs take milliseconds, those of a U-Net of 100 MB some fifty.
 */
export const generation: Bench = {
  name: "generation",
  run: async () => [
    ...(await measured("embedded model", prompts.slice(0, 1), rounds, (options) => load("shapes", options))),
    ...(await measured("embedded model", prompts, rounds, (options) => load("shapes", options))),
    ...(await withFolder(async (folder) => {
      await writeBigPipeline(folder);
      return measured("U-Net of 100 MB", prompts.slice(0, 1), bigRounds, (options) => load(folder, options));
    })),
  ],
};

async function measured(
  model: string,
  texts: readonly string[],
  turns: number,
  open: (options: NonNullable<Parameters<typeof load>[1]>) => Promise<Pipeline>,
): Promise<readonly Measurement[]> {
  const sessions: BackendSession[] = [];
  const pipe = await open({ session: { threads, spinning: false, backend: collecting(sessions) } });
  const seeds = texts.map((_, i) => 7 + i);
  const generate = async (capture: readonly string[]): Promise<readonly number[]> => {
    const { latents } = await pipe.generate(texts, { steps, seeds, capture });
    return [...latents.data.subarray(0, 8)];
  };
  const runMs = (): number => sessions.reduce((sum, session) => sum + session.runMs, 0);
  requireAgreement("latents with and without hooks", await generate(fiveHooks), await generate([]), 1e-4);
  // One after the other: garbage of captured activations would be collected in the turns without.
  const turnsOf = async (capture: readonly string[]): Promise<Turn[]> => {
    const all: Turn[] = [];
    for (let turn = 0; turn < turns; turn++) {
      const [started, before] = [performance.now(), runMs()];
      await generate(capture);
      all.push({ ms: performance.now() - started, runMs: runMs() - before });
    }
    return all;
  };
  const [plain, hooked] = [await turnsOf([]), await turnsOf(fiveHooks)];
  const name = `guided generation of ${texts.length}, ${steps} steps, ${model}`;
  return [
    { name, ...summary(plain), wanted: 1.03 },
    { name: `${name}, 5 hooks`, ...summary(hooked), wanted: 1.05 },
  ];
}

/** One generation: all of it, and its runs inside the runtime. */
interface Turn {
  readonly ms: number;
  readonly runMs: number;
}

function summary(turns: readonly Turn[]): Omit<Measurement, "name"> {
  return {
    ours: median(turns.map((t) => t.ms)),
    against: "its runs inside onnxruntime-node",
    peer: median(turns.map((t) => t.runMs)),
    ratio: median(turns.map((t) => t.ms / t.runMs)),
  };
}

/** A backend that tells of the sessions it opens. */
function collecting(sessions: BackendSession[]): Backend {
  return {
    ...onnxruntime,
    async open(source, options) {
      const session = await onnxruntime.open(source, options);
      sessions.push(session);
      return session;
    },
  };
}
