import { Figure } from "./figure.js";
import { gridAxes, imageTrace } from "./image-traces.js";
import { frame, label, notebookWidth } from "./layout.js";
import { type Picture, pngUri, shrinkPicture } from "./picture.js";
import type { PlotObject } from "./plot-value.js";
import { evenSteps, stepper, stepperRoom } from "./stepper.js";

/** A picture that changes from step to step. */
export interface FilmPanel {
  /** Over the picture, in one line or two; it must fit. */
  readonly name: string;
  /** Beside the strip of its stills; one line, or two. */
  readonly stripName: string;
  /** One per step, all of one size. */
  readonly pictures: readonly Picture[];
}

export interface FilmParts {
  readonly title: string;
  readonly subtitle?: string | undefined;
  /** In drawing order. */
  readonly panels: readonly FilmPanel[];
  /** Panels side by side; default as many as fit. */
  readonly columns: number;
  /** What the slider says at each step. */
  readonly texts: readonly string[];
  /** What stands over each still. */
  readonly shortTexts: readonly string[];
  /** Step shown first; default the last. */
  readonly start?: number | undefined;
  readonly summary: string;
}

const gap = 8;
const room = notebookWidth - 40;
const stripLength = 10;
/** Beside a strip, for its name. */
const nameRoom = 84;
const largestPanel = 288;

/** Bytes of pixels that a film may hold; larger pictures are shrunk until it does. */
const filmBytes = 6e6;

/** Panels that a slider moves through the steps, over strips of stills that show them all at once. */
export function film(parts: FilmParts): Figure {
  const { title, subtitle, texts, shortTexts } = parts;
  const steps = texts.length;
  const start = Math.min(steps - 1, Math.max(0, parts.start ?? steps - 1));
  const columns = Math.min(parts.panels.length, parts.columns);
  const widest = Math.min(largestPanel, (room - (columns - 1) * gap) / columns);
  const sides = parts.panels.map(({ pictures: [first] }) => widest / Math.max(first!.width, first!.height));
  const pixels = Math.sqrt(filmBytes / (3 * steps * parts.panels.length));
  const panels = parts.panels.map((panel) => ({ ...panel, pictures: panel.pictures.map((p) => shrinkPicture(p, pixels)) }));
  const size = (k: number, zoom = 1): { width: number; height: number } => {
    const { width, height } = parts.panels[k]!.pictures[0]!;
    return { width: width * sides[k]! * zoom, height: height * sides[k]! * zoom };
  };

  const heading = 20;
  const nameHeight = 6 + 14 * Math.max(...panels.map(({ name }) => name.split("\n").length));
  const tallest = Math.max(...panels.map((_, k) => size(k).height));
  const rows = Math.ceil(panels.length / columns);
  const left = (k: number): number => (k % columns) * (widest + gap);
  const top = (k: number): number => nameHeight + Math.floor(k / columns) * (tallest + nameHeight + gap);

  const stills = steps === 1 ? [] : evenSteps(steps, stripLength);
  const stillRoom = (room - nameRoom - (stripLength - 1) * gap) / stripLength;
  const stillLeft = (i: number): number => nameRoom + i * (stillRoom + gap);
  const zoom = Math.min(1, stillRoom / widest);
  const stillHeight = tallest * zoom;
  const panelsHeight = rows * (tallest + nameHeight + gap) - gap;
  const stillTop = (k: number): number => panelsHeight + 12 + heading + k * (stillHeight + 4);
  const height = stills.length === 0 ? panelsHeight : stillTop(panels.length - 1) + stillHeight;
  const width = Math.max(columns * (widest + gap), stillLeft(stills.length)) - gap;

  const controls = stepper(texts, start);
  const header = subtitle === undefined ? 48 : 70;
  const bottom = steps === 1 ? 12 : stepperRoom;
  return new Figure({
    data: [
      ...panels.map(({ pictures, name }, k) =>
        imageTrace(pictures[start]!, { left: left(k), top: top(k), ...size(k), hover: name }),
      ),
      ...panels.flatMap(({ pictures, name }, k) =>
        stills.map((step, i) =>
          imageTrace(shrinkPicture(pictures[step]!, 2 * stillRoom), {
            left: stillLeft(i),
            top: stillTop(k),
            ...size(k, zoom),
            hover: `${name}\n${texts[step]}`,
          }),
        ),
      ),
    ],
    frames:
      steps === 1
        ? undefined
        : texts.map((_, step) => ({
            name: String(step),
            data: panels.map(({ pictures }): PlotObject => ({ source: pngUri(pictures[step]!) })),
            traces: panels.map((_, k) => k),
          })),
    layout: {
      ...frame({
        title,
        subtitle,
        height: Math.ceil(height) + header + bottom,
        margin: { l: 12, r: 20, t: header, b: bottom },
      }),
      ...gridAxes(width, height),
      annotations: [
        ...panels.map(({ name }, k) => overPicture(name, left(k), top(k))),
        ...stills.map((step, i) => overPicture(shortTexts[step]!, stillLeft(i), stillTop(0))),
        ...(stills.length === 0 ? [] : panels).map(({ stripName }, k) =>
          label(stripName, nameRoom - 8, stillTop(k) + stillHeight / 2, { xanchor: "right", align: "right" }),
        ),
      ],
      ...controls.layout,
    },
    behaviour: controls.behaviour,
    summary: parts.summary,
  });
}

function overPicture(text: string, left: number, top: number): PlotObject {
  return label(text, left, top, { xanchor: "left", yanchor: "bottom", align: "left" });
}
