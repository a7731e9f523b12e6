import type { GenerateOptions, Generation, LatentSpace, Pipeline, PromptTokenizer } from "../diffusion/index.js";
import { type Activation, type Capture, type CustomReduction, type HookPoint, UnknownHookPointError } from "../hooks/index.js";
import type { GraphBuilder, Value } from "../program/index.js";
import { float32, Tensor } from "../tensor/index.js";
import { type Word, WordAttention } from "./word-attention-result.js";

export interface WordAttentionOptions extends GenerateOptions {
  /** Cross-attention layers: a pattern of hook points of attention probabilities; default all, "**.attn2.probs". */
  readonly layers?: string;
}

/** Rows and columns of a grid of places. */
type Grid = readonly [height: number, width: number];

/**
 * Where a text-to-image model looks for each word while it paints (DAAM): the conditional branch's cross-attention
 * probabilities, brought to the latents' size by bicubic interpolation and clamped at 0, as means over heads and layers.
 * All of that happens in the graph, for the prompt's own tokens only. Everything that `generate` takes holds here too.
 * @throws TypeError if the pipeline has no tokenizer, or its network no attention probabilities; RangeError if the grid of
 *   a layer's places is not known
 * @see Tang et al. 2022, arXiv:2210.04885
 * @example
 * import { load, wordAttention } from "tweedie";
 *
 * const words = await wordAttention(await load("shapes"), "a red circle left of a blue square", { seed: 5 });
 * words.map("blue square") // [y, x], from 0 to 1
 */
export async function wordAttention(
  pipe: Pipeline,
  prompt: string | readonly string[],
  options: WordAttentionOptions = {},
): Promise<WordAttention> {
  const { layers = "**.attn2.probs", capture = [], ...settings } = options;
  const { tokenizer, latentSpace } = pipe;
  if (tokenizer === undefined) throw new TypeError(`wordAttention: this ${pipe.pipelineClass} has no words; it has no tokenizer`);
  const points = probabilities(pipe, layers);
  const words = [prompt].flat().map((text) => wordsOf(text, tokenizer));
  const length = Math.max(1, ...words.flat().flatMap((word) => word.tokens.map((token) => token + 1)));
  const to = latentGrid(settings, latentSpace);
  const maps = points.map((point): Exclude<Capture, string> => {
    return { at: point.path, as: `words in ${point.path}`, reduce: tokenMaps(point, length, gridOf(point, latentSpace, to), to) };
  });
  const generation = await pipe.generate(prompt, { ...settings, capture: [...capture, ...maps] });
  const layersSeen = maps.map((map) => generation.activations[map.as!]!);
  const items = generation.items.map((item, i) => ({
    words: words[i % words.length]!,
    prompt: item.prompt,
    attention: meanOverLayers(layersSeen, generation, i),
  }));
  return new WordAttention({ generation, items, layers: points.map((p) => p.path) });
}

/** Height and width of the run's latents. */
function latentGrid({ image, height, width }: GenerateOptions, { factor, size }: LatentSpace): Grid {
  if (image === undefined) return [(height ?? size * factor) / factor, (width ?? size * factor) / factor];
  if ("latents" in image) return image.latents.shape.slice(2) as unknown as Grid;
  const [h, w] = image instanceof Tensor ? image.shape.slice(2) : [[image].flat()[0]!.height, [image].flat()[0]!.width];
  return [h! / factor, w! / factor];
}

function probabilities(pipe: Pipeline, pattern: string): readonly HookPoint[] {
  try {
    return pipe.tree().find(pattern);
  } catch (error) {
    if (!(error instanceof UnknownHookPointError)) throw error;
    throw new TypeError(
      `wordAttention: this network has no attention probabilities at "${pattern}"; a fused attention has no softmax to read, ` +
        "export the model with eager attention or give the hook points as layers",
      { cause: error },
    );
  }
}

/** Words with their places in the sequence that the text encoder sees; what it had no room for is left out. */
function wordsOf(prompt: string, tokenizer: PromptTokenizer): Word[] {
  const { textStart } = tokenizer;
  const kept = tokenizer.encode(prompt).length - textStart - 1;
  const words: Word[] = [];
  for (const [i, { word, start, end }] of tokenizer.tokens(prompt).slice(0, kept).entries()) {
    const { text, tokens } = words[word] ?? { text: prompt.slice(start, end), tokens: [] };
    words[word] = { text, start, end, tokens: [...tokens, textStart + i] };
  }
  return words;
}

/** The picture's places that a layer's queries are, from how much coarser than the latents they are at the network's own size. */
function gridOf({ path, shape, axes }: HookPoint, { size }: LatentSpace, latents: Grid): Grid {
  const queries = shape?.[axes.indexOf("query")];
  const coarser = typeof queries === "number" ? size / Math.sqrt(queries) : Number.NaN;
  const grid = latents.map((side) => side / coarser);
  if (grid.every(Number.isInteger)) return grid as unknown as Grid;
  throw new RangeError(
    `wordAttention: ${path} has ${queries ?? "an unknown number of"} queries, which are no grid over latents of ${latents.join("×")}`,
  );
}

const reductions = new Map<string, CustomReduction>();

/** Probabilities to maps [batch, token, y, x], of the first `length` tokens. One program per kind, so that sessions are shared. */
function tokenMaps(point: HookPoint, length: number, from: Grid, to: Grid): CustomReduction {
  const folded = point.axes[0] === "batch*head";
  const key = [folded, length, from, to].join();
  const known = reductions.get(key);
  if (known !== undefined) return known;
  const [height, width] = from;
  const program = (x: Value, g: GraphBuilder): Value => {
    const rank = folded ? 3 : 4;
    const byToken = x
      .cast("float32")
      .slice(rank - 1, 0, length)
      .transpose(folded ? [0, 2, 1] : [0, 1, 3, 2]);
    // Heads lie beside tokens while pictures are resized, which is done for each alone.
    const pictures = bicubic(byToken.reshape([0, -1, height, width]), g, from, to).maximum(0);
    return folded ? pictures : pictures.reshape([0, -1, length, ...to]).mean([1]);
  };
  const reduction: CustomReduction = {
    name: `maps of ${length} tokens`,
    axes: folded ? ["batch*head", "token", "y", "x"] : ["batch", "token", "y", "x"],
    program,
  };
  reductions.set(key, reduction);
  return reduction;
}

/** As torch's `interpolate(mode="bicubic")`: Keys' kernel with a = −0.75, the edge repeated. */
function bicubic(x: Value, g: GraphBuilder, from: Grid, to: Grid): Value {
  if (from.join() === to.join()) return x;
  const scales = g.constant(float32([1, 1, to[0] / from[0], to[1] / from[1]]));
  return g.op("Resize", [x, undefined, scales], { mode: "cubic", coordinate_transformation_mode: "half_pixel" });
}

/** Mean over layers (and heads, where they came out apart) of one item's conditional rows: [call, token, y, x]. */
function meanOverLayers(
  layers: readonly Activation<Tensor<"float32">>[],
  { branches, calls }: Generation,
  item: number,
): Tensor<"float32"> {
  const shape = layers[0]!.tensor.shape.slice(-3);
  const size = shape.reduce((a, b) => a * b, 1);
  const sums = new Float64Array(calls.length * size);
  for (const { tensor } of layers) {
    for (const call of calls.keys()) {
      const { data } = tensor.row(call).row(branches.indexOf("cond")).row(item);
      const heads = data.length / size;
      data.forEach((v, i) => {
        sums[call * size + (i % size)]! += v / heads / layers.length;
      });
    }
  }
  return float32(Float32Array.from(sums), [calls.length, ...shape]);
}
