import type { HookedModel } from "../../hooks/index.js";
import { toFloat32 } from "../../tensor/index.js";
import { asInput } from "../batches.js";
import type { PromptTokenizer } from "../formats/tokenizer.js";

import type { Conditioner } from "./conditioner.js";

/** Stable Diffusion 1 and 2: the last hidden states of one CLIP text encoder, `encoder_hidden_states` [prompt, token, channel]. */
export function clipConditioner(textEncoder: HookedModel, tokenizer: PromptTokenizer): Conditioner {
  return {
    guidance: "classifier-free",
    async encode({ prompts, signal }) {
      const [input] = textEncoder.inputs;
      const feeds = { [input!.name]: asInput(tokenizer.encodeBatch(prompts), input!) };
      const { outputs } = await textEncoder.run(feeds, { fetches: ["last_hidden_state"], ...(signal && { signal }) });
      return { rows: { encoder_hidden_states: toFloat32(outputs.last_hidden_state!) } };
    },
    truncated: (prompt) => tokenizer.encode(prompt).truncated,
  };
}
