import { load, type Pipeline } from "../../../../lib/diffusion/index.js";

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
export async function use(folder: string): Promise<void> {
  let pipe: Pipeline | undefined;
  try {
    pipe = await load(folder, { session: { threads: 1, spinning: false }, onNote: () => {} });
    const side = 8 * pipe.latentSpace.factor;
    const picture = { pixels: new Uint8Array(side * side * 3), width: side, height: side, channels: 3 } as const;
    const prompt = /DiT/.test(pipe.pipelineClass) ? "cat" : "a cat";
    await pipe.generate(prompt, {
      steps: 1,
      height: side,
      width: side,
      ...(pipe.seesPicture && { image: picture }),
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
