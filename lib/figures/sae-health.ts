import { downsample, histogram, type Numbers } from "./downsample.js";
import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { axis, frame, logAxis, panelTitle } from "./layout.js";
import { ink } from "./palette.js";
import type { Trace } from "./plot-value.js";
import { countText, numberText, percentText } from "./text.js";

/** What says whether a sparse autoencoder is sound. Definitions: FVU over all evaluation tokens, L0 after the activation. */
export interface SaeHealth {
  /** Share of tokens on which each feature fires, 0…1. */
  readonly firingRates: Numbers;
  /** Tokens over which the rates were counted. */
  readonly tokens: number;
  /** Features firing per token, one number per token (or per sampled token). */
  readonly l0: Numbers;
  /** Fraction of variance unexplained, 0 = perfect, 1 = no better than the mean. */
  readonly fvu: number;
  /** FVU of what the SAE is compared with. */
  readonly baselines: readonly { readonly name: string; readonly fvu: number }[];
  readonly loss: { readonly step: Numbers; readonly value: Numbers };
  /** Share of dead features while training, 0…1. */
  readonly dead?: { readonly step: Numbers; readonly share: Numbers };
}

export interface SaeHealthOptions {
  readonly title?: string;
}

/** Four panels: firing rates, reconstruction beside its baselines, L0 per token, training loss with dead features. */
export function saeHealth(health: SaeHealth, options: SaeHealthOptions = {}): Figure {
  const { title = "SAE health" } = options;
  const rates = Float64Array.from(health.firingRates);
  const alive = rates.filter((r) => r > 0);
  const deadCount = rates.length - alive.length;
  const meanL0 = mean(health.l0);
  const training = trainingTraces(health);
  return new Figure({
    data: [...densityTraces(alive, deadCount, health.tokens), fvuTrace(health), l0Trace(health.l0), ...training],
    layout: {
      ...frame({
        title,
        subtitle: [
          `FVU ${numberText(health.fvu)}`,
          `L0 ${numberText(meanL0)}`,
          `${countText(deadCount)} of ${countText(rates.length)} features dead (no firing in ${countText(health.tokens)} tokens)`,
        ].join(" · "),
        height: 620,
        margin: { t: 100, r: 56 },
      }),
      bargap: 0.04,
      showlegend: false,
      hovermode: "closest",
      xaxis: axis("log₁₀ firing rate", { domain: [0, 0.4] }),
      yaxis: axis("features", { domain: [0.6, 1] }),
      xaxis2: axis("FVU (fraction of variance unexplained)", {
        domain: [0.62, 1],
        anchor: "y2",
        range: [0, 1.18 * Math.max(health.fvu, ...health.baselines.map((b) => b.fvu))],
      }),
      yaxis2: axis("", {
        domain: [0.6, 1],
        anchor: "x2",
        autorange: "reversed",
        showgrid: false,
        ticks: "",
        ...namesOnTicks([...health.baselines.map((b) => b.name), "this SAE"]),
      }),
      xaxis3: axis("features firing per token (L0)", { domain: [0, 0.4], anchor: "y3" }),
      yaxis3: axis("share of tokens", { domain: [0, 0.4], anchor: "x3", tickformat: ".0%" }),
      xaxis4: axis("step", { domain: [0.62, 1], anchor: "y4", rangemode: "tozero" }),
      yaxis4: logAxis("loss", ...extent(health.loss.value), {
        domain: [0, 0.4],
        anchor: "x4",
        title: { text: "loss", font: { size: 12, color: ink.main }, standoff: 4 },
      }),
      ...(health.dead === undefined
        ? {}
        : {
            yaxis5: axis("dead features", {
              overlaying: "y4",
              anchor: "x4",
              side: "right",
              tickmode: "auto",
              nticks: 5,
              tickformat: ".0%",
              range: [0, Math.max(0.045, ...health.dead.share) * 1.1],
              showgrid: false,
              title: { text: "dead features", font: { size: 12, color: ink.bad }, standoff: 4 },
            }),
          }),
      annotations: [
        panelTitle("How often features fire", "x", "y"),
        panelTitle("Reconstruction beside its baselines", "x2", "y2"),
        panelTitle("Sparsity", "x3", "y3"),
        panelTitle("Training", "x4", "y4"),
        ...(deadCount === 0
          ? []
          : [
              {
                text: "dead",
                x: deadPosition(health.tokens),
                y: 0,
                yanchor: "top",
                yshift: -2,
                showarrow: false,
                font: { size: 11, color: ink.bad },
              },
            ]),
      ],
    },
    summary: `${title}: FVU ${numberText(health.fvu)} (${health.baselines.map((b) => `${b.name} ${numberText(b.fvu)}`).join(", ")}), L0 ${numberText(meanL0)}, ${percentText(deadCount / Math.max(1, rates.length))} of ${rates.length} features dead in ${countText(health.tokens)} tokens`,
  });
}

function extent(values: Numbers): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

function mean(values: Numbers): number {
  let sum = 0;
  for (const v of values) sum += v;
  return values.length === 0 ? Number.NaN : sum / values.length;
}

/** Dead features have no logarithm: they stand one step left of the rarest rate that can be counted. */
function deadPosition(tokens: number): number {
  return Math.floor(-Math.log10(Math.max(10, tokens))) - 0.4;
}

function densityTraces(alive: Float64Array, dead: number, tokens: number): Trace[] {
  const low = Math.floor(-Math.log10(Math.max(10, tokens)));
  const { counts, centers, width } = histogram(alive.map(Math.log10), 40, [low, 0]);
  const traces: Trace[] = [
    {
      type: "bar",
      x: centers,
      y: counts,
      width,
      marker: { color: ink.main, opacity: 0.85 },
      customdata: Array.from(centers, (c) => numberText(10 ** c)),
      hovertemplate: "about 1 token in 1/%{customdata}<br><b>%{y}</b> features<extra></extra>",
    },
  ];
  if (dead > 0) {
    traces.push({
      type: "bar",
      x: [deadPosition(tokens)],
      y: [dead],
      width: 0.4,
      marker: { color: ink.bad, opacity: 0.85 },
      hovertemplate: "<b>%{y}</b> features never fired<extra></extra>",
    });
  }
  return traces;
}

function fvuTrace({ fvu, baselines }: SaeHealth): Trace {
  const all = [...baselines.map((b) => b.fvu), fvu];
  return {
    type: "bar",
    orientation: "h",
    xaxis: "x2",
    yaxis: "y2",
    x: all,
    y: all.map((_, i) => i),
    width: 0.66,
    marker: { color: all.map((_, i) => (i === all.length - 1 ? ink.main : ink.faint)) },
    text: all.map((v) => numberText(v)),
    textposition: "outside",
    cliponaxis: false,
    hovertemplate: "FVU <b>%{x:.4~g}</b><extra></extra>",
  };
}

function namesOnTicks(names: readonly string[]): { tickmode: string; tickvals: number[]; ticktext: string[] } {
  return { tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names.map(plotText) };
}

function l0Trace(l0: Numbers): Trace {
  let [low, high] = extent(l0);
  if (low > high) [low, high] = [0, 1];
  // Bins are whole numbers wide, so that a TopK SAE's single L0 is one clean bar.
  const width = Math.max(1, Math.ceil((high - low + 1) / 40));
  const bins = Math.max(3, Math.ceil((high - low + 1) / width));
  const start = Math.floor(low) - 0.5 - (bins === 3 ? width : 0);
  const { counts, centers } = histogram(l0, bins, [start, start + bins * width]);
  return {
    type: "bar",
    xaxis: "x3",
    yaxis: "y3",
    x: centers,
    y: counts.map((c) => c / Math.max(1, l0.length)),
    width: width * 0.96,
    marker: { color: ink.good, opacity: 0.85 },
    hovertemplate: "about %{x:.0f} features<br><b>%{y:.1%}</b> of tokens<extra></extra>",
  };
}

function trainingTraces({ loss, dead }: SaeHealth): Trace[] {
  const line = (x: Numbers, y: Numbers, color: string, yaxis: string, hovertemplate: string): Trace => ({
    type: "scatter",
    mode: "lines",
    ...downsample(x, y, 600),
    xaxis: "x4",
    yaxis,
    line: { color, width: 1.8 },
    hovertemplate,
  });
  const traces = [line(loss.step, loss.value, ink.main, "y4", "step %{x:,d}<br>loss <b>%{y:.4~g}</b><extra></extra>")];
  if (dead !== undefined)
    traces.push(line(dead.step, dead.share, ink.bad, "y5", "step %{x:,d}<br><b>%{y:.1%}</b> dead<extra></extra>"));
  return traces;
}
