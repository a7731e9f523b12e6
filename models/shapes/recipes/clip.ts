import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { proportionOf } from "../../../lib/evaluate/index.js";
import { saveModel } from "../../../lib/onnx/codec/index.js";
import { toFloat16 } from "../../../lib/onnx/passes/index.js";
import type { ContrastiveEncoder } from "../../../lib/predictors/index.js";
import { clipText, convNet, GraphBuilder, linear, type Value } from "../../../lib/program/index.js";
import type { Tensor } from "../../../lib/tensor/index.js";
import { adamw, contrastiveLoss, cosineRate, type StepFeeds, type TrainingSpec, withWarmup } from "../../../lib/train/index.js";
import { openClip, retrieve, zeroShot } from "../clip.js";
import { clipImageConfig, clipTextConfig } from "../config.js";
import { exampleAt, sceneBatch } from "../dataset.js";
import { shapesFolder } from "../folder.js";
import { renderBatch } from "../render.js";
import { canvasSize, type Scene } from "../scene.js";
import { writeJson } from "./classifier.js";
import { type Recipe, trainLogged } from "./harness.js";

const batch = 64;
const steps = 5000;
const seed = 501;
const width = 64;

/** Pictures [batch, 3, 64, 64] → embeddings of length 1. */
function imageTower(g: GraphBuilder, images: Value): Value {
  const features = g.scope("vision_model", () => convNet(g, clipImageConfig, images));
  return normalized(linear(g, "visual_projection", features, width, { bias: false }));
}

/** Token ids [batch, 24] → embeddings of length 1. */
function textTower(g: GraphBuilder, ids: Value): Value {
  return normalized(linear(g, "text_projection", clipText(g, clipTextConfig, ids).pooled, width, { bias: false }));
}

function normalized(x: Value): Value {
  return x.div(x.square().sum([1], true).add(1e-12).sqrt());
}

export const spec: TrainingSpec = {
  inputs: {
    images: { dtype: "float32", shape: [batch, 3, canvasSize, canvasSize] },
    input_ids: { dtype: "int64", shape: [batch, clipTextConfig.max_position_embeddings] },
  },
  optimizer: adamw({ beta2: 0.98, weightDecay: 0.01 }),
  clipNorm: 1,
  emaDecay: 0.99,
  loss(g, { images, input_ids }) {
    // 1/τ starts at 1/0.07 and is held below 100, as in CLIP
    const scale = g
      .parameter("logit_scale", [1], { kind: "constant", value: Math.log(1 / 0.07) })
      .minimum(Math.log(100))
      .exp();
    const products = g.gemm(imageTower(g, images!), textTower(g, input_ids!), { transB: true });
    return { loss: contrastiveLoss(g, products.mul(scale)), metrics: { scale } };
  },
};

async function exportTowers(folder: string, weights: Readonly<Record<string, Tensor>>): Promise<void> {
  const towers = {
    image: (g: GraphBuilder) => imageTower(g, g.input("images", "float32", ["batch", 3, canvasSize, canvasSize])),
    text: (g: GraphBuilder) => textTower(g, g.input("input_ids", "int64", ["batch", clipTextConfig.max_position_embeddings])),
  };
  for (const [name, tower] of Object.entries(towers)) {
    const g = new GraphBuilder({ name: `clip_${name}` });
    g.output(tower(g), `${name}_embeds`);
    const model = g.model({ weights });
    await mkdir(join(folder, name), { recursive: true });
    await saveModel({ ...model, graph: toFloat16(model.graph) }, join(folder, name, "model.onnx"));
  }
}

/** Retrieval in 20 galleries of 100 distinct captions, and zero-shot shape and colour of 2000 single objects. */
async function measure(clip: ContrastiveEncoder): Promise<Readonly<Record<string, unknown>>> {
  const found = {
    textOfImage: { exact: [] as boolean[], fitting: [] as boolean[] },
    imageOfText: { exact: [] as boolean[], fitting: [] as boolean[] },
  };
  let index = 0;
  for (let gallery = 0; gallery < 20; gallery++) {
    const scenes = new Map<string, Scene>();
    while (scenes.size < 100) {
      const { caption, scene } = exampleAt(seed, index++, { split: "test" });
      if (!scenes.has(caption)) scenes.set(caption, scene);
    }
    const result = await retrieve(clip, renderBatch([...scenes.values()]), [...scenes.keys()], [...scenes.values()]);
    for (const way of ["textOfImage", "imageOfText"] as const)
      for (const kind of ["exact", "fitting"] as const) found[way][kind].push(...result[way][kind]);
  }
  const singles = Array.from(
    { length: 2000 },
    (_, i) => exampleAt(seed + 1, i, { split: "test", scene: { kinds: ["single"] } }).scene,
  );
  const images = renderBatch(singles);
  const zero = async (factor: "shape" | "colour"): Promise<boolean[]> =>
    (await zeroShot(clip, images, factor)).map((said, i) => said === singles[i]!.objects[0]![factor]);
  return {
    recall_at_1_of_100: {
      text_of_image: proportionOf(found.textOfImage.exact),
      image_of_text: proportionOf(found.imageOfText.exact),
    },
    // "a red circle" fits a large red circle too: the first hit is true of the query, though not its partner
    fitting_at_1_of_100: {
      text_of_image: proportionOf(found.textOfImage.fitting),
      image_of_text: proportionOf(found.imageOfText.fitting),
    },
    zero_shot: { shape: proportionOf(await zero("shape")), colour: proportionOf(await zero("colour")) },
  };
}

export const clipRecipe: Recipe = {
  name: "clip",
  about: "contrastive encoder of pictures and captions, 64 numbers each",
  async run(options) {
    const { checkpoints } = options;
    const trainer = await trainLogged(options, "clip", spec, {
      seed,
      steps,
      learningRate: withWarmup(100, cosineRate(2e-3, steps)),
      checkpoint: join(checkpoints, "clip.safetensors"),
      checkpointEvery: 200,
      async batch(step): Promise<StepFeeds> {
        const { images, tokens } = await sceneBatch(seed, step, batch);
        return { images, input_ids: tokens };
      },
    });
    const weights = await trainer.weights("ema");
    await trainer.close();
    const folder = join(shapesFolder, "clip");
    await exportTowers(folder, weights);
    const clip = await openClip();
    try {
      const metrics = await measure(clip);
      process.stderr.write(`${JSON.stringify(metrics, null, 1)}\n`);
      await writeJson(join(folder, "config.json"), {
        architecture: "clip",
        projection_dim: width,
        image_size: canvasSize,
        vision_config: clipImageConfig,
        text_config: clipTextConfig,
        metrics,
      });
    } finally {
      await clip.release();
    }
  },
};
