import { statSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { HookedModel } from "../../lib/hooks/index.js";
import { loadModel, saveModel } from "../../lib/onnx/index.js";
import { float32, int64, Rng, type Tensor } from "../../lib/tensor/index.js";
import {
  type Bench,
  compared,
  inTurns,
  type Measurement,
  requireAgreement,
  type Turn,
  threads,
  timed,
  withFolder,
} from "./bench.js";
import { bigUNet } from "./big-unet.js";

const rounds = 15;
const fewHooks = ["no hook", "1 hook", "5 hooks"];
const openings = 7;

/** Capturing from a model of 100 MB, against ONNX Runtime's own binding running the unmodified file. */
export const hooks: Bench = {
  name: "hooks",
  run: () =>
    withFolder(async (folder) => {
      const file = join(folder, "model.onnx");
      await saveModel(bigUNet(), file);
      const rng = new Rng(1);
      const feeds: Record<string, Tensor> = {
        sample: float32(rng.normals(2 * 4 * 16 * 16), [2, 4, 16, 16]),
        timestep: int64([500], []),
        encoder_hidden_states: float32(rng.normals(2 * 16 * 256), [2, 16, 256]),
      };
      // Threads that sleep, here and there: in turns, those that spin would disturb the other.
      const extra = { session: { intra_op: { allow_spinning: "0" } } };
      const openRaw = (): Promise<ort.InferenceSession> =>
        ort.InferenceSession.create(file, { intraOpNumThreads: threads, extra });
      const raw = await openRaw();
      const rawFeeds = Object.fromEntries(
        Object.entries(feeds).map(([name, t]) => [name, new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.shape)]),
      );
      const inputShapes = Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, t.shape]));
      const model = await loadModel(file);
      const options = { inputShapes, session: { threads, spinning: false } };
      await using hooked = new HookedModel(model, options);
      const values = hooked.model.graph.nodes
        .flatMap((node) => node.outputs)
        .filter((name) => name !== "out_sample" && hooked.tree().find(name)[0]!.dtype === "float32");
      const captures: Record<string, readonly string[]> = {
        "no hook": [],
        "1 hook": ["mid_block"],
        "5 hooks": ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"],
        "all tensors": values,
      };
      const run = async (capture: readonly string[]): Promise<readonly number[]> => [
        ...((await hooked.run(feeds, { capture })).outputs.out_sample as Tensor<"float32">).data.subarray(0, 8),
      ];
      const expected = [...((await raw.run(rawFeeds)).out_sample!.data as Float32Array).subarray(0, 8)];
      for (const [name, capture] of Object.entries(captures))
        requireAgreement(`outputs with ${name}`, await run(capture), expected, 1e-3);

      const turn =
        (name: string): (() => Promise<Turn>) =>
        () =>
          timed(() => run(captures[name]!));
      const own = (): Promise<Turn> => timed(() => raw.run(rawFeeds));
      // A thousand tensors leave garbage whose collection would be counted against whoever comes next: they run apart.
      const few = await inTurns(rounds, { raw: own, ...Object.fromEntries(fewHooks.map((name) => [name, turn(name)])) });
      const many = await inTurns(rounds, { raw: own, "all tensors": turn("all tensors") });
      await raw.release();
      const opened = await inTurns(openings, {
        raw: () => timedOpening(openRaw),
        hooked: () =>
          timedOpening(async () => {
            const fresh = new HookedModel(model, options);
            await fresh.prepare({ capture: captures["5 hooks"]! });
            return fresh;
          }),
      });
      const measurement = (name: string, times: Record<string, readonly Turn[]>): Measurement => ({
        name: `${name} in a model of ${(statSync(file).size / 1e6).toFixed(0)} MB`,
        ...compared(times[name]!, times.raw!),
        against: "onnxruntime-node, unmodified file",
      });
      return [
        ...fewHooks.map((name) => ({ ...measurement(name, few), wanted: 1.05 })),
        { ...measurement("all tensors", many), note: `${values.length} tensors` },
        {
          ...measurement("hooking and opening, 5 hooks,", { raw: opened.raw, "hooking and opening, 5 hooks,": opened.hooked }),
          wanted: 1.2,
        },
      ];
    }),
};

/** Times an opening, not the closing after it. */
async function timedOpening(open: () => Promise<{ release(): Promise<void> }>): Promise<Turn> {
  let opened: { release(): Promise<void> } | undefined;
  const turn = await timed(async () => {
    opened = await open();
  });
  await opened!.release();
  return turn;
}
