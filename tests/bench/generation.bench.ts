import * as ort from "onnxruntime-node";
import { load, type Pipeline } from "../../lib/diffusion/index.js";
import { type Backend, type Feeds, onnxruntime } from "../../lib/runtime/index.js";
import type { Tensor } from "../../lib/tensor/index.js";
import { type Bench, compared, inTurns, type Measurement, requireAgreement, type Turn, threads, timed } from "./bench.js";

const rounds = 11;
const steps = 20;
const prompts = ["a red circle", "a blue square", "a green triangle", "two yellow circles"];
const fiveHooks = ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"];

/** A run of a network: which one, with what. */
interface NetworkRun {
  readonly model: string;
  readonly feeds: Feeds;
}

/** A backend that notes the runs it makes. */
function noting(runs: NetworkRun[]): Backend {
  return {
    ...onnxruntime,
    async open(source, options) {
      const session = await onnxruntime.open(source, options);
      const { inputs, outputs } = session;
      return {
        inputs,
        outputs,
        run: (feeds, request) => {
          runs.push({ model: source.name, feeds });
          return session.run(feeds, request);
        },
        release: () => session.release(),
      };
    },
  };
}

/** Everything that a generation costs beside its network runs: one picture, whose runs take milliseconds, and four. */
export const generation: Bench = {
  name: "generation",
  run: async () => [...(await raced(prompts.slice(0, 1))), ...(await raced(prompts))],
};

/**
 * Pictures of the embedded model in 20 guided steps, against the sum of the network runs that make them: the same files and
 * feeds in ONNX Runtime's own binding on the main thread, one after another, with nothing in between.
 */
async function raced(texts: readonly string[]): Promise<readonly Measurement[]> {
  const session = { threads, spinning: false };
  const seeds = texts.map((_, i) => 7 + i);
  const generate = async (pipe: Pipeline, capture: readonly string[] = []): Promise<readonly number[]> => {
    const { latents } = await pipe.generate(texts, { steps, seeds, capture });
    return [...latents.data.subarray(0, 8)];
  };
  const runs: NetworkRun[] = [];
  await generate(await load("shapes", { session: { ...session, backend: noting(runs) } }));
  const raw = new Map<string, ort.InferenceSession>();
  const extra = { session: { intra_op: { allow_spinning: "0" } } };
  for (const { model } of runs) {
    if (!raw.has(model)) raw.set(model, await ort.InferenceSession.create(model, { intraOpNumThreads: threads, extra }));
  }
  const replays = runs.map(({ model, feeds }) => ({
    session: raw.get(model)!,
    feeds: Object.fromEntries(
      Object.entries(feeds as Record<string, Tensor>).map(([name, t]) => [
        name,
        new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.shape),
      ]),
    ),
  }));
  const pipe = await load("shapes", { session });
  requireAgreement("latents with and without hooks", await generate(pipe, fiveHooks), await generate(pipe), 1e-4);
  const turns = await inTurns(rounds, {
    raw: (): Promise<Turn> =>
      timed(async () => {
        for (const { session: open, feeds } of replays) await open.run(feeds);
      }),
    plain: () => timed(() => generate(pipe)),
    hooked: () => timed(() => generate(pipe, fiveHooks)),
  });
  for (const open of raw.values()) await open.release();
  const against = `${runs.length} runs in onnxruntime-node`;
  const name = `generation of ${texts.length}, ${steps} steps`;
  return [
    { name, ...compared(turns.plain, turns.raw), against, wanted: 1.03 },
    { name: `${name}, 5 hooks`, ...compared(turns.hooked, turns.raw), against, wanted: 1.05 },
  ];
}
