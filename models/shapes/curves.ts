import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Figure, type LossSeries, lossCurve } from "../../lib/figures/index.js";

interface Logged {
  readonly step: number;
  readonly loss: number;
}

const trainings: Readonly<Record<string, string>> = {
  unet: "U-Net",
  "vae-long": "autoencoder",
  vae: "its decoder alone",
  clip: "contrastive encoder",
  judge: "judge",
  shortcut: "shortcut",
};

/** The losses of the trainings whose weights lie in `folder`, from its `logs/<recipe>.jsonl`. */
export function trainingCurves(folder: string): Figure {
  const series = Object.entries(trainings).map(([recipe, name]): LossSeries => {
    const lines = readFileSync(join(folder, "logs", `${recipe}.jsonl`), "utf8")
      .trim()
      .split("\n");
    const logged = lines.map((line) => JSON.parse(line) as Logged);
    return { name, x: Float64Array.from(logged, ({ step }) => step), y: Float64Array.from(logged, ({ loss }) => loss) };
  });
  return lossCurve(series, {
    title: "Trainings of the embedded models",
    log: true,
    xLabel: "optimizer step",
    yLabel: "training loss",
  });
}
