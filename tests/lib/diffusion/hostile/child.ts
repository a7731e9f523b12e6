// Breaks folders and opens them, in a process of its own: the runtime is native code.
import { cp, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { load, type Pipeline } from "../../../../lib/diffusion/index.js";
import { Rng } from "../../../../lib/tensor/index.js";
import { mutate } from "./mutations.js";

export interface FuzzRequest {
  readonly seeds: string;
  readonly names: readonly string[];
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

/** What became of one mutation: "opened", an error's class, or what must not be, in capitals. */
export type FuzzReport =
  | { readonly begun: number; readonly what: string }
  | { readonly ended: number; readonly outcome: string; readonly detail: string };

const typed = new Set([
  "ModelFolderError",
  "ModelFormatError",
  "RuntimeError",
  "MemoryBudgetError",
  "ShapeError",
  "UnsupportedOpError",
  "UnknownHookPointError",
]);
/** How messages begin that engines and Node.js give of their own accord. */
const raw =
  /^(Cannot |Invalid |Array buffer|Maximum call|Reduce of|offset is|source array|The (number|value|"|argument)|Unexpected |\S+ is not (a function|iterable|a constructor|defined|an object)|object null|undefined)/;

/** An error's class if it is one that tells what is wrong, else what it is in capitals. */
export function classify(error: unknown): string {
  if (!(error instanceof Error)) return `NOT AN ERROR ${String(error)}`;
  if (typed.has(error.name)) return error.name;
  const isOurs = (error instanceof TypeError || error instanceof RangeError) && /^[^\n]{1,300}?: ./.test(error.message);
  return isOurs && !raw.test(error.message) && !("code" in error) ? error.constructor.name : `RAW ${error.constructor.name}`;
}

/** Opens a folder, draws with it, encodes and lists it. */
async function use(folder: string): Promise<void> {
  let pipe: Pipeline | undefined;
  try {
    pipe = await load(folder, { session: { threads: 1, spinning: false }, onNote: () => {} });
    const side = 8 * pipe.latentSpace.factor;
    const prompt = /DiT/.test(pipe.pipelineClass) ? "cat" : "a cat";
    await pipe.generate(prompt, {
      steps: 1,
      height: side,
      width: side,
      guidanceScale: 2,
      conditioning: { maxSequenceLength: 16 },
    });
    pipe.tree().toString();
    await pipe.mimeBundle();
    if (pipe.vaeEncoder) await pipe.encodeImage({ pixels: new Uint8Array(16 * 16 * 3), width: 16, height: 16, channels: 3 });
  } finally {
    await pipe?.release();
  }
}

async function fuzz({ seeds, names, seed, from, to }: FuzzRequest): Promise<void> {
  const long = new Date("2001-01-01");
  for (let i = from; i < to; i++) {
    const rng = new Rng([seed, i]);
    const root = await mkdtemp(join(tmpdir(), "tweedie-fuzz-"));
    const name = rng.choice(names);
    const folder = join(root, name);
    await cp(join(seeds, name), folder, { recursive: true });
    // Where `../` leads, and where relative names lead that are taken from the working directory.
    const elsewhere = join(root, "working-directory");
    await mkdir(elsewhere);
    process.chdir(elsewhere);
    const data = (await readdir(folder, { recursive: true }))
      .map((file) => basename(file))
      .filter((file) => file.endsWith(".data"));
    const watched = ["canary.bin", "canary.json"].map((file) => join(root, file));
    for (const file of ["canary.bin", "model.onnx", "link", ...data]) watched.push(join(elsewhere, file));
    for (const file of watched) await writeFile(file, new Uint8Array(1 << 14).fill(0x55));
    const canaries = watched.slice(0, 2);
    const changes = [await mutate(rng, folder, canaries)];
    process.send!({ begun: i, what: `${name}/${changes.join("; ")}` } satisfies FuzzReport);
    // A file's time of access tells whether anybody, native code too, read it.
    for (const file of watched) await utimes(file, long, long);
    let [outcome, detail] = ["opened", ""];
    try {
      await use(folder);
    } catch (error) {
      outcome = classify(error);
      const { message, stack } = error as Error;
      detail = outcome.startsWith("RAW") ? String(stack) : String(message).slice(0, 500);
    }
    for (const file of watched) if ((await stat(file)).atimeMs !== long.getTime()) outcome = "READ OUTSIDE";
    if ("polluted" in {}) outcome = "POLLUTED";
    await rm(root, { recursive: true, force: true });
    process.send!({ ended: i, outcome, detail } satisfies FuzzReport);
  }
}

process.on("message", (request: FuzzRequest) => {
  void fuzz(request).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(3);
    },
  );
});
