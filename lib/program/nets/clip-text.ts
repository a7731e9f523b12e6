import { float32, int64 } from "../../tensor/index.js";
import type { GraphBuilder } from "../builder.js";
import { embedding, layerNorm, linear, scaledDotProduct } from "../layers.js";
import type { Value } from "../value.js";

/** The part of transformers' CLIPTextConfig that shapes the net. */
export interface ClipTextConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly max_position_embeddings: number;
}

/** x·sigmoid(1.702x), CLIP's activation. */
function quickGelu(x: Value): Value {
  return x.mul(x.mul(1.702).sigmoid());
}

/** −10⁴ above the diagonal: a token sees itself and what stands before it. */
function causalMask(g: GraphBuilder, length: number): Value {
  return g.shared(`causal:${length}`, () => {
    const mask = new Float32Array(length * length);
    for (let row = 0; row < length; row++) mask.fill(-1e4, row * length + row + 1, (row + 1) * length);
    return float32(mask, [length, length]);
  });
}

function encoderLayer(g: GraphBuilder, index: number, x: Value, heads: number, intermediate: number, mask: Value): Value {
  return g.scope(`layers.${index}`, () => {
    const width = x.dim(-1);
    const normalized = layerNorm(g, "layer_norm1", x);
    const attended = g.scope("self_attn", () => {
      const q = linear(g, "q_proj", normalized, width);
      const k = linear(g, "k_proj", normalized, width);
      const v = linear(g, "v_proj", normalized, width);
      return linear(g, "out_proj", scaledDotProduct(q, k, v, heads, mask), width);
    });
    const h = attended.add(x);
    const n2 = layerNorm(g, "layer_norm2", h);
    const out = g.scope("mlp", () =>
      linear(
        g,
        "fc2",
        g.scope("activation_fn", () => quickGelu(linear(g, "fc1", n2, intermediate))),
        width,
      ),
    );
    return out.add(h);
  });
}

/**
 * CLIP's text transformer (transformers' CLIPTextModel).
 * @param ids token ids [batch, max_position_embeddings], int64
 * @returns states [batch, token, hidden_size], and the state at each row's end token (its highest id) [batch, hidden_size]
 * @see Radford et al. 2021, arXiv:2103.00020
 */
export function clipText(g: GraphBuilder, config: ClipTextConfig, ids: Value): { lastHiddenState: Value; pooled: Value } {
  const { hidden_size: width, max_position_embeddings: length } = config;
  return g.scope("text_model", () => {
    let h = g.scope("embeddings", () => {
      const tokens = embedding(g, "token_embedding", ids, config.vocab_size, width);
      const positions = g.scope("position_embedding", () =>
        g.parameter("weight", [length, width], { kind: "normal", std: 0.01 }),
      );
      return tokens.add(positions);
    });
    const mask = causalMask(g, length);
    g.scope("encoder", () => {
      for (let i = 0; i < config.num_hidden_layers; i++)
        h = encoderLayer(g, i, h, config.num_attention_heads, config.intermediate_size, mask);
    });
    const lastHiddenState = layerNorm(g, "final_layer_norm", h);
    // first position of the end token, as a one-hot row, so that the pick is a product
    const end = g.op("ArgMax", [ids], { axis: 1, keepdims: 1 });
    const range = g.shared(`range:${length}`, () =>
      int64(
        Array.from({ length }, (_, i) => i),
        [1, length],
      ),
    );
    const pick = end.equal(range).cast("float32").unsqueeze(1);
    return { lastHiddenState, pooled: pick.matmul(lastHiddenState).squeeze(1) };
  });
}
