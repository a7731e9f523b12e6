import type { Proportion } from "../../lib/evaluate/index.js";
import type { EvaluationMetrics } from "./evaluation.js";
import { backgrounds, colours, relations, shapes, sizes, textures } from "./scene.js";
import type { Aspect } from "./score.js";

type Measured = Readonly<Record<string, Proportion>>;

/** The measured numbers that the model card states; a part that was not measured is left out of the card. */
export interface CardParts {
  readonly evaluation: EvaluationMetrics | undefined;
  readonly judge: { readonly metrics?: { readonly test: Measured; readonly test_mistakes: Measured } } | undefined;
  readonly shortcut:
    | { readonly metrics?: { readonly test_correlated: Measured; readonly test_uncorrelated: Measured } }
    | undefined;
  readonly clip:
    | {
        readonly metrics?: {
          readonly recall_at_1_of_100: Measured;
          readonly fitting_at_1_of_100: Measured;
          readonly zero_shot: Measured;
        };
      }
    | undefined;
}

/** "97.3 % (96.0–98.2, n = 600)": the share with its 95 % interval. */
export function percent({ share, low, high, trials }: Proportion): string {
  const of = (x: number): string => (100 * x).toFixed(1);
  return `${of(share)} % (${of(low)}–${of(high)}, n = ${trials})`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

function pipelineSection(e: EvaluationMetrics): string {
  const aspects: readonly [Aspect, string][] = [
    ["shape", "shape as asked"],
    ["colour", "colour as asked"],
    ["size", "size as asked"],
    ["texture", "texture as asked"],
    ["background", "background as asked"],
    ["count", "number of objects as asked"],
    ["bound", "both objects, each in its colour"],
    ["swapped", "colours exchanged"],
    ["half", "one of the two objects"],
    ["relation", "relation as asked, where both are there"],
  ];
  const sets = [e.single, e.count, e.pairs_seen, e.pairs_held_out];
  const rows = aspects
    .filter(([aspect]) => sets.some((set) => set[aspect]))
    .map(([aspect, name]) => [name, ...sets.map((set) => (set[aspect] ? percent(set[aspect]) : ""))]);
  const psnr = e.reconstruction_psnr_db;
  const opinion = Object.entries(e.single_second_opinion).map(([factor, p]) => `${factor} ${percent(p)}`);
  return `## Generation

Prompts of the test split, ${e.sampling.steps} steps, guidance ${e.sampling.guidanceScale}, scheduler ${e.sampling.scheduler}; judged by the classifiers
below. Shares of the prompts that ask for the aspect, with 95 % Wilson intervals. Held-out pairs are combinations of two objects
that training never showed.

${table(["", "one object", "two or three equal objects", "pairs, seen", "pairs, held out"], rows)}

The contrastive encoder, asked without training for it, agrees on single objects: ${opinion.join("; ")}.

Autoencoder: reconstructions of ${psnr.n} test renders reach ${psnr.mean} dB PSNR on average (median ${psnr.median}, 5th percentile ${psnr.p05},
lowest ${psnr.min}).

![Samples](samples.png)

Rows: single objects (three), equal objects, pairs of the training set, held-out pairs; not selected.`;
}

function judgeSection({ test, test_mistakes }: { readonly test: Measured; readonly test_mistakes: Measured }): string {
  const rows = Object.keys(test).map((name) => [
    name,
    percent(test[name]!),
    test_mistakes[name] ? percent(test_mistakes[name]) : "",
  ]);
  return `## Classifiers

\`judge/\`, trained on scenes of its own split; accuracy on renders of the test split. "With mistakes" are scenes of several objects
with shapes and colours that generators get wrong. \`pairs\` counts as right when exactly the present coloured shapes are named.

${table(["head", "test split", "with mistakes"], rows)}`;
}

/** The model card, from what was measured. */
export function renderCard({ evaluation, judge, shortcut, clip }: CardParts): string {
  const sections = [
    `# The shapes world and its models

Written by \`npm run evaluate\` from measured numbers; edit \`card.ts\`, not this file.

64×64 RGB pictures of one to three flat objects with complete ground truth. Shapes: ${shapes.join(", ")}. Colours: ${colours.join(", ")}.
Backgrounds: ${backgrounds.join(", ")}. Sizes: ${sizes.join(", ")}. Textures: ${textures.join(", ")}. Relations: ${relations.join(", ")}.
Captions come from a grammar ("a large striped red circle on a gray background", "a red circle left of a blue square", "two green
stars"). All models were trained by this library, on two CPU cores, from the recipes in \`recipes/\`; the losses are in \`logs/\`. They know
nothing but this world and are meant for research on how such models work.

![Training curves](curves.svg)

The U-Net's recipe was settled while it trained: its first 2 950 steps took all timesteps equally often, the next 2 900 those from 100
to 600 more often, the rest follow the recipe; the learning rate was cooled down twice, before step 22 000 and before the end.`,
  ];
  if (evaluation) sections.push(pipelineSection(evaluation));
  if (judge?.metrics) sections.push(judgeSection(judge.metrics));
  if (shortcut?.metrics) {
    const { test_correlated, test_uncorrelated } = shortcut.metrics;
    sections.push(`## Planted shortcut

\`shortcut/\` learned shape where colour gives it away in 97 of 100 pictures. Where that still holds it is right in
${percent(test_correlated.shape!)} of test renders; with colours drawn freely, in ${percent(test_uncorrelated.shape!)}.`);
  }
  if (clip?.metrics) {
    const { recall_at_1_of_100: exact, fitting_at_1_of_100: fitting, zero_shot } = clip.metrics;
    sections.push(`## Contrastive encoder

\`clip/\`: embeddings of 64 numbers for pictures and captions. Retrieval among 100 different test captions; "fits" means that the
first hit is true of the query, whether or not it is its own partner.

${table(
  ["", "own partner first", "first hit fits"],
  [
    ["caption of a picture", percent(exact.text_of_image!), percent(fitting.text_of_image!)],
    ["picture of a caption", percent(exact.image_of_text!), percent(fitting.image_of_text!)],
  ],
)}

Zero-shot on single objects: shape ${percent(zero_shot.shape!)}, colour ${percent(zero_shot.colour!)}.`);
  }
  return `${sections.join("\n\n")}\n`;
}
