import { float, type Model } from "../../../../lib/onnx/index.js";
import { GraphBuilder, type Value } from "../../../../lib/program/index.js";
import { int64 } from "../../../../lib/tensor/index.js";
import { fixed, rolled, wave } from "./blocks.js";

// The text encoders of tests/golden/pipelines/README.md.

/** Word and place of every token, [B, S, width]. */
function embedded(ids: Value, width: number, phase: number): Value {
  const { builder: g } = ids;
  const word = g.op("Mod", [ids, g.constant(int64([97], []))]);
  return wave(g, [97, width], phase)
    .gather(word, 0)
    .add(wave(g, [ids.dim(1), width], phase + 1, 0.3));
}

export interface ClipTextOptions {
  readonly width?: number;
  readonly layers?: number;
  readonly phase?: number;
  /** Width of `text_embeds`; without it the encoder gives `pooler_output`. */
  readonly projection?: number;
  /** Whether `hidden_states.0…` are outputs. */
  readonly hiddenStates?: boolean;
}

/** `input_ids` [B, 77] → `last_hidden_state`, `pooler_output` or `text_embeds`, `hidden_states.0…`. */
export function clipText({ width = 8, layers = 3, phase = 50, projection, hiddenStates = true }: ClipTextOptions = {}): Model {
  const g = new GraphBuilder({ name: "text_encoder", opset: 18 });
  const ids = g.input("input_ids", "int64", ["batch", 77]);
  const states = [embedded(ids, width, phase)];
  const inside = <T>(path: string, body: () => T): T => g.scope("text_model", () => g.scope(path, body));
  for (let l = 0; l < layers; l++) {
    const h = states[l]!;
    const mixed = (): Value => {
      const before = h.slice(1, 0, -1).pad([0, 1, 0, 0, 0, 0]);
      return rolled(h).mul(1.1).add(before.mul(0.3)).tanh();
    };
    states.push(inside("encoder", () => g.scope(`layers.${l}`, mixed)));
  }
  const gain = fixed(g, [width], (i) => 1 + 0.1 * Math.cos(phase + 2 + 1.7 * i + 0.01 * i * i));
  const shift = wave(g, [width], phase + 3, 0.1);
  const normalized = (): Value => g.op("LayerNormalization", [states[layers]!, gain, shift], { axis: -1, epsilon: float(1e-5) });
  const last = inside("final_layer_norm", normalized);
  const ends = ids.equal(g.constant(int64([49407], []))).cast("float32");
  const first = ends.mul(
    g
      .op("CumSum", [ends, g.constant(int64([1], []))])
      .less(1.5)
      .cast("float32"),
  );
  const pooled = last.mul(first.unsqueeze(2)).sum([1]);
  if (projection !== undefined) g.output(pooled.matmul(wave(g, [width, projection], phase + 4, 0.5)), "text_embeds");
  g.output(last, "last_hidden_state");
  if (projection === undefined) g.output(pooled, "pooler_output");
  if (hiddenStates) for (const [l, h] of states.entries()) g.output(h, `hidden_states.${l}`);
  return g.model();
}

/** `input_ids` [B, S], `attention_mask`? → `last_hidden_state` [B, S, 20]. */
export function t5Text({ tokens = 16, mask = false }: { tokens?: number; mask?: boolean } = {}): Model {
  const g = new GraphBuilder({ name: "text_encoder", opset: 18 });
  const h = embedded(g.input("input_ids", "int64", ["batch", tokens]), 20, 60);
  const seen = mask
    ? g.input("attention_mask", "int64", ["batch", tokens]).cast("float32").unsqueeze(2)
    : g.full([1, tokens, 1], 1);
  g.output(
    h
      .add(
        h
          .mul(seen)
          .sum([1], true)
          .div(seen.sum([1], true)),
      )
      .tanh(),
    "last_hidden_state",
  );
  return g.model();
}
