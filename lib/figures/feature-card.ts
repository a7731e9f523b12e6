import type { Tensor } from "../tensor/tensor.js";
import { histogram, type Numbers } from "./downsample.js";
import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { imageTrace } from "./image-traces.js";
import { axis, frame, hiddenAxis, logAxis, notebookWidth, panelTitle } from "./layout.js";
import { type ColorScale, colorAt, ink } from "./palette.js";
import { heatOverlay, type Picture } from "./picture.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { countText, numberText, percentText, shorten } from "./text.js";

/** A picture on which the feature was looked at. */
export interface FeatureExample {
  readonly picture: Picture;
  /** The feature's activation per position, float32 [height, width], any size. */
  readonly heat?: Tensor;
  /** The feature's largest activation on the picture. */
  readonly activation: number;
  readonly caption?: string;
}

/** Everything a feature card tells about one SAE feature. */
export interface FeatureCard {
  readonly feature: number;
  /** A label is shown only with its detection AUC on held-out data. */
  readonly label?: { readonly text: string; readonly heldOutAuc: number };
  /** Most activating first. */
  readonly examples: readonly FeatureExample[];
  /** One example per activation decile, the lowest decile first. */
  readonly deciles?: readonly FeatureExample[];
  /** Activations where the feature fired; values at or below 0 are left out. */
  readonly activations: Numbers;
  /** Share of tokens on which the feature fires, 0…1. */
  readonly firingRate?: number;
  /** AUROC of the feature for each ground-truth factor. */
  readonly factors?: readonly { readonly name: string; readonly auroc: number }[];
}

export interface FeatureCardOptions {
  readonly title?: string;
  /** Examples shown; default 8. */
  readonly limit?: number;
}

// From orange to yellow-white: seen on any picture, and not a colour of the embedded world.
const heat: ColorScale = [
  [0, "#b30000"],
  [0.5, "#ff8c00"],
  [1, "#ffff99"],
];

/** Light to dark: first to tenth decile. */
const decileShades: ColorScale = [
  [0, "#a6cee3"],
  [1, "#08519c"],
];

/** One feature: its strongest pictures with the activation laid over, its activations by decile, and what it detects. */
export function featureCard(card: FeatureCard, options: FeatureCardOptions = {}): Figure {
  const examples = card.examples.slice(0, options.limit ?? 8);
  const factors = [...(card.factors ?? [])].sort((a, b) => b.auroc - a.auroc).slice(0, 12);
  const fired = Float64Array.from(card.activations).filter((a) => a > 0);
  const title = options.title ?? `Feature ${card.feature}${card.label === undefined ? "" : ` · ${card.label.text}`}`;
  const facts = [
    ...(card.label === undefined ? ["no label"] : [`held-out detection AUC ${numberText(card.label.heldOutAuc)}`]),
    ...(card.firingRate === undefined ? [] : [`fires on ${percentText(card.firingRate)} of tokens`]),
    `${countText(fired.length)} activations`,
    ...(fired.length === 0 ? [] : [`largest ${numberText(fired.reduce((a, b) => Math.max(a, b)))}`]),
  ];
  const rows = pictureRows(examples, card.deciles ?? []);
  const panels = 230;
  const header = 78;
  const height = header + rows.height + panels + 100;
  const inner = height - header - 56;
  const picturesFrom = 1 - rows.height / inner;
  const panelsTo = panels / inner;
  return new Figure({
    data: [...rows.traces, ...decileTraces(fired), ...(factors.length === 0 ? [] : [factorTrace(factors)])],
    layout: {
      ...frame({ title, subtitle: facts.join(" · "), height, margin: { t: header, l: 12, r: 20 } }),
      xaxis: hiddenAxis({ domain: [0, 1], range: [0, rows.width], anchor: "y", constrain: "domain", constraintoward: "left" }),
      yaxis: hiddenAxis({
        domain: [picturesFrom, 1],
        range: [rows.height, 0],
        anchor: "x",
        scaleanchor: "x",
        constrain: "domain",
        constraintoward: "top",
      }),
      xaxis2: axis("activation", { domain: [0.075, factors.length === 0 ? 1 : 0.48], anchor: "y2", rangemode: "tozero" }),
      yaxis2: logAxis("activations (log)", 1, Math.max(10, fired.length), {
        domain: [0, panelsTo],
        anchor: "x2",
        automargin: false,
      }),
      xaxis3: axis("AUROC (0.5 = chance)", {
        domain: [0.66, 1],
        anchor: "y3",
        range: [Math.min(0.35, ...factors.map((f) => f.auroc - 0.12)), 1.1],
        tickvals: [0, 0.25, 0.5, 0.75, 1],
      }),
      yaxis3: axis("", {
        domain: [0, panelsTo],
        anchor: "x3",
        autorange: "reversed",
        showgrid: false,
        ticks: "",
        tickmode: "array",
        tickvals: factors.map((_, i) => i),
        ticktext: factors.map((f) => plotText(shorten(f.name, 24))),
      }),
      bargap: 0.06,
      barmode: "overlay",
      showlegend: false,
      hovermode: "closest",
      annotations: [
        ...rows.annotations,
        panelTitle("Activations, coloured by decile", "x2", "y2"),
        ...(factors.length === 0 ? [] : [panelTitle("What it detects, per factor", "x3", "y3")]),
      ],
      ...(factors.length === 0
        ? {}
        : {
            shapes: [
              {
                type: "line",
                xref: "x3",
                yref: "y3 domain",
                x0: 0.5,
                x1: 0.5,
                y0: 0,
                y1: 1,
                line: { color: ink.axis, width: 1, dash: "dash" },
              },
            ],
          }),
      ...overlayButtons(rows.overlays),
    },
    summary: `${title}: ${facts.join(", ")}${factors.length === 0 ? "" : `; best factor ${factors[0]!.name} (AUROC ${numberText(factors[0]!.auroc)})`}`,
  });
}

interface PictureRows {
  readonly traces: Trace[];
  readonly annotations: PlotObject[];
  /** Positions of the overlays among the traces. */
  readonly overlays: number[];
  readonly width: number;
  readonly height: number;
}

/** Pictures on axes that count screen pixels at the planned width. */
function pictureRows(examples: readonly FeatureExample[], deciles: readonly FeatureExample[]): PictureRows {
  const width = notebookWidth - 32;
  const traces: Trace[] = [];
  const annotations: PlotObject[] = [];
  const overlays: number[] = [];
  const strongest = Math.max(0, ...examples.map((e) => e.activation));
  let top = 0;
  const row = (
    shown: readonly FeatureExample[],
    heading: string,
    perRow: number,
    caption: (e: FeatureExample, i: number) => string,
  ): void => {
    if (shown.length === 0) return;
    const gap = 6;
    const size = (width - (perRow - 1) * gap) / perRow;
    annotations.push({
      text: `<b>${plotText(heading)}</b>`,
      x: 0,
      y: top + 16,
      xref: "x",
      yref: "y",
      xanchor: "left",
      yanchor: "bottom",
      showarrow: false,
      font: { size: 12 },
    });
    top += 20;
    shown.forEach((example, i) => {
      const place = { left: (i % perRow) * (size + gap), top, width: size, height: size };
      const hover = [example.caption, `largest activation ${numberText(example.activation)}`].filter(Boolean).join("\n");
      traces.push(imageTrace(example.picture, { ...place, hover }));
      if (example.heat !== undefined) {
        overlays.push(traces.length);
        traces.push(imageTrace(heatOverlay(example.heat, heat, strongest), place));
      }
      annotations.push({
        text: plotText(caption(example, i)),
        x: place.left + size / 2,
        y: top + size,
        xref: "x",
        yref: "y",
        xanchor: "center",
        yanchor: "top",
        showarrow: false,
        font: { size: 11 },
      });
    });
    top += size + 26;
  };
  row(examples, "Strongest pictures", 8, (e) => numberText(e.activation));
  row(deciles, "One picture per activation decile, weakest first", 10, (e, i) => `${i + 1}: ${numberText(e.activation)}`);
  return { traces, annotations, overlays, width, height: Math.ceil(top) };
}

/** Ten shades, one per decile of the activations: equal numbers of firings in each. */
function decileTraces(fired: Float64Array): Trace[] {
  if (fired.length === 0) return [{ type: "bar", x: [], y: [], xaxis: "x2", yaxis: "y2" }];
  const sorted = fired.slice().sort();
  const { counts, centers, width } = histogram(fired, 40, [0, sorted.at(-1)!]);
  const decileOf = (value: number): number => {
    let below = 0;
    while (below < 9 && value >= sorted[Math.floor(((below + 1) * sorted.length) / 10)]!) below++;
    return below;
  };
  const deciles = Array.from(centers, decileOf);
  return [
    {
      type: "bar",
      xaxis: "x2",
      yaxis: "y2",
      x: centers,
      y: Array.from(counts, (c) => (c === 0 ? null : c)),
      width,
      marker: { color: deciles.map((d) => `rgb(${colorAt(decileShades, d / 9).join(",")})`), line: { width: 0 } },
      customdata: deciles.map((d) => d + 1),
      hovertemplate: "activation %{x:.3~g}<br><b>%{y}</b> firings · decile %{customdata}<extra></extra>",
    },
  ];
}

function factorTrace(factors: readonly { readonly name: string; readonly auroc: number }[]): Trace {
  return {
    type: "bar",
    orientation: "h",
    xaxis: "x3",
    yaxis: "y3",
    base: 0.5,
    x: factors.map((f) => f.auroc - 0.5),
    y: factors.map((_, i) => i),
    width: 0.7,
    marker: { color: factors.map((f) => (f.auroc >= 0.95 ? ink.good : f.auroc >= 0.5 ? ink.main : ink.bad)), opacity: 0.85 },
    text: factors.map((f) => numberText(f.auroc)),
    textposition: "outside",
    cliponaxis: false,
    customdata: factors.map((f) => [plotText(f.name), numberText(f.auroc, 4)]),
    hovertemplate: "%{customdata[0]}<br>AUROC <b>%{customdata[1]}</b><extra></extra>",
  };
}

/** Two buttons that show and hide the heat maps. */
function overlayButtons(overlays: readonly number[]): PlotObject {
  if (overlays.length === 0) return {};
  const button = (text: string, visible: boolean): PlotObject => ({
    label: text,
    method: "restyle",
    args: [{ visible }, [...overlays]],
  });
  return {
    updatemenus: [
      {
        type: "buttons",
        direction: "left",
        x: 1,
        xanchor: "right",
        y: 1,
        yanchor: "bottom",
        pad: { b: 6 },
        bgcolor: ink.panel,
        bordercolor: ink.grid,
        font: { size: 11 },
        showactive: false,
        buttons: [button("heat map", true), button("picture only", false)],
      },
    ],
  };
}
