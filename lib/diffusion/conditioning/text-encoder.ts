import { at, type HookedModel } from "../../hooks/index.js";
import { float32, int64, type Tensor, toFloat32 } from "../../tensor/index.js";
import { asInput, concatRows } from "../batches.js";
import {
  applyTokenWeights,
  type PromptSegment,
  type PromptTokenizer,
  parseWeightedPrompt,
  plainPrompt,
  stackEncodings,
  tokenWeights,
} from "../formats/tokenizers/index.js";
import { runRows } from "../row-runs.js";

/** A text encoder with its tokenizer. */
export interface TextEncoder {
  readonly network: HookedModel;
  readonly tokenizer: PromptTokenizer;
  /** Whether padding is hidden from it, where it has an input for that; CLIP's of Diffusers see it. */
  readonly usesMask?: boolean;
}

/** Text states of prompts, as one encoder gives them. */
export interface EncodedText {
  /** After the last layer and its norm, [prompt, token, channel]. */
  readonly lastHiddenState: Tensor<"float32">;
  /** Before the norm, after all layers but those left out; where asked for. */
  readonly hiddenState: Tensor<"float32"> | undefined;
  /** One vector per prompt, projected where the encoder has a projection: [prompt, channel]; undefined where it has none. */
  readonly pooled: Tensor<"float32"> | undefined;
  /** 1 for tokens of the prompt, 0 for padding: [prompt, token]. */
  readonly mask: Tensor<"int64">;
}

export interface EncodeTextOptions {
  readonly maxLength?: number;
  /** How many layers from the end `hiddenState` is to be taken, 0 being the last one's output. */
  readonly hiddenStateBefore?: number;
  /** Whether prompts may weigh words. */
  readonly weighted?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs prompts through a text encoder. @throws RangeError if it has not so many layers as are to be left out */
export async function encodeText(
  encoder: TextEncoder,
  prompts: readonly string[],
  { maxLength, hiddenStateBefore, weighted = false, signal }: EncodeTextOptions = {},
): Promise<EncodedText> {
  const { network } = encoder;
  const segments = prompts.map(segmentsOf(weighted));
  const { perRow, mask } = textFeeds(encoder, segments.map(plainPrompt), maxLength);
  const weigh = (states: Tensor<"float32">): Tensor<"float32"> =>
    weighted ? weighedStates(states, encoder.tokenizer, segments) : states;
  const outputs = new Set(network.outputs.map((o) => o.name));
  const state = outputs.has("last_hidden_state") ? "last_hidden_state" : statesOutput(network);
  const pooled = ["text_embeds", "pooler_output"].find((name) => outputs.has(name));
  const hidden = hiddenStateBefore === undefined ? undefined : hiddenStateOf(encoder, hiddenStateBefore);
  const run = await runRows(
    network,
    perRow,
    {},
    {
      fetches: [state, ...(pooled ? [pooled] : []), ...(hidden && "output" in hidden ? [hidden.output] : [])],
      ...(hidden && "layer" in hidden && { capture: [{ at: hidden.layer, as: "hidden" }] }),
      ...(signal && { signal }),
    },
  );
  const hiddenState = hidden && ("output" in hidden ? run.outputs[hidden.output] : run.activations.hidden!.tensor);
  return {
    lastHiddenState: weigh(toFloat32(run.outputs[state]!)),
    hiddenState: hiddenState && weigh(toFloat32(hiddenState)),
    pooled: pooled === undefined ? undefined : toFloat32(run.outputs[pooled]!),
    mask,
  };
}

/**
 * The last hidden state as if the encoder ended some layers earlier: their output goes through the final norm.
 * @throws RangeError if it has not so many layers
 */
export async function encodeTextSkipping(
  encoder: TextEncoder,
  prompts: readonly string[],
  skipped: number,
  { maxLength, weighted = false, signal }: Omit<EncodeTextOptions, "hiddenStateBefore"> = {},
): Promise<Tensor<"float32">> {
  const segments = prompts.map(segmentsOf(weighted));
  const texts = segments.map(plainPrompt);
  const { hiddenState } = await encodeText(encoder, texts, {
    ...(maxLength && { maxLength }),
    hiddenStateBefore: skipped,
    signal,
  });
  const { perRow } = textFeeds(encoder, texts, maxLength);
  const edits = [at(layerPaths(encoder).at(-1)!).replace(hiddenState!)];
  // A replacement has one row per prompt, so the network must take them all at once.
  const { outputs } = await encoder.network.run(perRow, { fetches: ["last_hidden_state"], edits, ...(signal && { signal }) });
  const states = toFloat32(outputs.last_hidden_state!);
  return weighted ? weighedStates(states, encoder.tokenizer, segments) : states;
}

function textFeeds(
  { network, tokenizer, usesMask = false }: TextEncoder,
  prompts: readonly string[],
  maxLength?: number,
): { perRow: Record<string, Tensor>; mask: Tensor<"int64"> } {
  const ids = network.inputs.find((input) => input.name === "input_ids") ?? network.inputs[0]!;
  const fixed = ids.shape?.[1];
  const length = typeof fixed === "number" ? fixed : (maxLength ?? tokenizer.maxLength);
  const encodings = prompts.map((prompt) => tokenizer.encode(prompt, { maxLength: length }));
  const { ids: tokens, attentionMask: mask } = stackEncodings(encodings);
  const perRow: Record<string, Tensor> = { [ids.name]: asInput(tokens, ids) };
  for (const input of network.inputs) {
    if (input === ids) continue;
    if (input.name !== "attention_mask")
      throw new TypeError(
        `text encoder: its input ${input.name} is not known; export it with input_ids and attention_mask alone`,
      );
    perRow[input.name] = asInput(usesMask ? mask : int64(new BigInt64Array(mask.size).fill(1n), mask.shape), input);
  }
  return { perRow, mask };
}

const segmentsOf =
  (weighted: boolean) =>
  (prompt: string): PromptSegment[] =>
    weighted ? parseWeightedPrompt(prompt) : [{ text: prompt, weight: 1 }];

/** Text states [prompt, token, channel], each token's times its weight. */
function weighedStates(
  states: Tensor<"float32">,
  tokenizer: PromptTokenizer,
  segments: readonly (readonly PromptSegment[])[],
): Tensor<"float32"> {
  const maxLength = states.shape[1]!;
  const rows = segments.map((s, i) => applyTokenWeights(states.slice(i, i + 1), tokenWeights(tokenizer, s, { maxLength })));
  return concatRows(rows);
}

/** The output [prompt, token, channel] of an encoder that calls it otherwise. */
function statesOutput({ outputs }: HookedModel): string {
  const found = outputs.find((o) => o.shape === undefined || o.shape.length === 3) ?? outputs[0];
  if (found === undefined) throw new TypeError("text encoder: it has no outputs; export it with last_hidden_state");
  return found.name;
}

/** Where a layer's output is: an output of the network, or inside it. `hidden_states.0` is the embedding before any layer. */
function hiddenStateOf(encoder: TextEncoder, before: number): { readonly output: string } | { readonly layer: string } {
  const exported = encoder.network.outputs.map((o) => o.name).filter((name) => /^hidden_states[._]\d+$/.test(name));
  const layers = exported.length > 1 ? exported.length - 1 : layerPaths(encoder).length;
  if (!Number.isSafeInteger(before) || before < 0 || before >= layers) {
    throw new RangeError(
      `text encoder: ${before} of its ${layers} layers were to be left out; clipSkip must be less than their number`,
    );
  }
  const index = layers - before;
  const output = exported.find((name) => Number(/\d+$/.exec(name)![0]) === index);
  return output === undefined ? { layer: layerPaths(encoder)[index - 1]! } : { output };
}

/** Paths of the transformer layers, in their order. */
function layerPaths({ network }: TextEncoder): string[] {
  const found = [...network.tree().hookPoints.keys()].flatMap((path) => {
    const match = /(?:^|\.)layers\.(\d+)$/.exec(path);
    return match === null ? [] : [{ path, index: Number(match[1]) }];
  });
  return found.sort((a, b) => a.index - b.index).map(({ path }) => path);
}

/** Tensors [row, …, channel] side by side along the channels. */
export function besideChannels(tensors: readonly Tensor<"float32">[]): Tensor<"float32"> {
  const [first] = tensors as readonly [Tensor<"float32">];
  const lead = first.shape.slice(0, -1);
  const widths = tensors.map((t) => t.shape.at(-1)!);
  const total = widths.reduce((a, b) => a + b, 0);
  const positions = lead.reduce((a, b) => a * b, 1);
  const data = new Float32Array(positions * total);
  let start = 0;
  tensors.forEach((t, k) => {
    const width = widths[k]!;
    for (let p = 0; p < positions; p++) data.set(t.data.subarray(p * width, (p + 1) * width), p * total + start);
    start += width;
  });
  return float32(data, [...lead, total]);
}
