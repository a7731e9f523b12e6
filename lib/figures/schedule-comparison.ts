import { downsample, type Numbers } from "./downsample.js";
import { hoverText, plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { axis, frame, logAxis, panelTitle } from "./layout.js";
import { classStyle } from "./palette.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { numberText, shorten } from "./text.js";

/** The noise levels of a training process, by timestep: either as ᾱ or as σ. */
export type NamedSchedule = { readonly name: string } & (
  | { /** ᾱ_t, each in 0…1. */ readonly alphasCumprod: Numbers }
  | { /** σ_t, noise over signal, each at least 0. */ readonly sigmas: Numbers }
);

/** The timesteps that a sampler visits. */
export interface VisitedTimesteps {
  /** The sampler and its spacing. */
  readonly name: string;
  readonly timesteps: ArrayLike<number>;
}

export interface ScheduleComparisonOptions {
  readonly title?: string;
  readonly subtitle?: string;
}

/**
 * Noise schedules compared: σ, ᾱ and the signal-to-noise ratio over the timestep, and below, on one axis, the timesteps that
 * samplers visit.
 * @throws RangeError if there is no schedule, or one is empty or has a value out of range
 */
export function scheduleComparison(
  schedules: readonly NamedSchedule[],
  visited: readonly VisitedTimesteps[] = [],
  options: ScheduleComparisonOptions = {},
): Figure {
  const { title = "Noise schedules", subtitle } = options;
  if (schedules.length === 0) throw new RangeError("scheduleComparison: expected at least one schedule, got none");
  const curves = schedules.map(levelsOf);
  const longest = Math.max(...curves.map(({ sigma }) => sigma.length));
  const curveHeight = 210;
  const rowHeight = 20;
  const top = (subtitle === undefined ? 48 : 70) + 46;
  const dotsHeight = visited.length === 0 ? 0 : visited.length * rowHeight + 16;
  const between = visited.length === 0 ? 0 : 84;
  const inner = curveHeight + between + dotsHeight;
  const upper = [1 - curveHeight / inner, 1] as const;
  const panel = (n: string, k: number): PlotObject => ({ domain: [k * 0.375, k * 0.375 + 0.25], anchor: `y${n}` });
  const line = (values: Float64Array, schedule: number, n: string): Trace => {
    const t = Float64Array.from(values.keys());
    return {
      type: "scatter",
      mode: "lines",
      ...downsample(t, values, 300),
      name: plotText(schedules[schedule]!.name),
      legendgroup: String(schedule),
      showlegend: n === "",
      line: { color: classStyle(schedule).color, width: 2, dash: ["solid", "dash", "dot", "dashdot"][schedule % 4]! },
      xaxis: `x${n}`,
      yaxis: `y${n}`,
      hovertemplate: "%{y:.3~g}",
    };
  };
  const span = (pick: (c: Levels) => Float64Array): [number, number] => {
    const values = curves.flatMap((c) => Array.from(pick(c))).filter((v) => v > 0 && Number.isFinite(v));
    return [Math.min(...values), Math.max(...values)];
  };
  const range = [-0.01 * longest, 1.01 * longest];
  return new Figure({
    data: [
      ...curves.flatMap((c, k) => [line(c.sigma, k, ""), line(c.alpha, k, "2"), line(c.snr, k, "3")]),
      ...visited.map(
        ({ name, timesteps }, k): Trace => ({
          type: "scatter",
          mode: "markers",
          x: Float32Array.from(timesteps),
          y: new Float32Array(timesteps.length).fill(k),
          marker: { color: classStyle(k).color, size: 8, symbol: "line-ns-open", line: { width: 2 } },
          name: plotText(name),
          showlegend: false,
          xaxis: "x4",
          yaxis: "y4",
          hovertemplate: `${hoverText(name)}<br>t = <b>%{x:.4~g}</b><extra></extra>`,
        }),
      ),
    ],
    layout: {
      ...frame({ title, subtitle, height: top + inner + 56, margin: { l: 58, t: top, b: 56 } }),
      xaxis: axis("timestep t", { range, ...panel("", 0) }),
      yaxis: logAxis("σ", ...span((c) => c.sigma), { domain: upper, anchor: "x" }),
      xaxis2: axis("timestep t", { range, ...panel("2", 1) }),
      yaxis2: axis("ᾱ", { domain: upper, anchor: "x2", range: [-0.02, 1.03] }),
      xaxis3: axis("timestep t", { range, ...panel("3", 2) }),
      yaxis3: logAxis("ᾱ / (1 − ᾱ)", ...span((c) => c.snr), {
        tickformat: "",
        exponentformat: "power",
        domain: upper,
        anchor: "x3",
      }),
      ...(visited.length === 0
        ? {}
        : {
            xaxis4: axis("timestep t", { range, domain: [0, 1], anchor: "y4" }),
            yaxis4: axis("", {
              domain: [0, dotsHeight / inner],
              anchor: "x4",
              tickmode: "array",
              tickvals: visited.map((_, k) => k),
              ticktext: visited.map(({ name, timesteps }) => plotText(`${shorten(name, 32)} · ${timesteps.length}`)),
              range: [visited.length - 0.4, -0.6],
              ticks: "",
            }),
          }),
      hovermode: "closest",
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1 + 24 / inner, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      showlegend: schedules.length > 1,
      annotations: [
        panelTitle("Noise level", "x", "y"),
        panelTitle("Share of signal", "x2", "y2"),
        panelTitle("Signal-to-noise ratio", "x3", "y3"),
        ...(visited.length === 0 ? [] : [panelTitle("Timesteps that samplers visit", "x4", "y4")]),
      ],
    },
    summary: `${title}: ${schedules
      .map(({ name }, k) => `${name}, σ up to ${numberText(Math.max(...curves[k]!.sigma.filter(Number.isFinite)))}`)
      .join(
        "; ",
      )}${visited.map(({ name, timesteps }) => `; ${name} visits ${timesteps.length}, from ${numberText(timesteps[0])}`).join("")}`,
  });
}

interface Levels {
  readonly sigma: Float64Array;
  readonly alpha: Float64Array;
  readonly snr: Float64Array;
}

function levelsOf(schedule: NamedSchedule): Levels {
  const given = Float64Array.from("sigmas" in schedule ? schedule.sigmas : schedule.alphasCumprod);
  const most = "sigmas" in schedule ? Number.POSITIVE_INFINITY : 1;
  const outside = given.findIndex((v) => !(v >= 0 && v <= most));
  if (given.length === 0 || outside >= 0)
    throw new RangeError(
      `scheduleComparison: expected ${"sigmas" in schedule ? "σ of at least 0" : "ᾱ in 0…1"} of ${schedule.name}, got ${given.length === 0 ? "none" : `${given[outside]} at ${outside}`}`,
    );
  const sigma = "sigmas" in schedule ? given : given.map((a) => Math.sqrt((1 - a) / a));
  // Without noise or without signal a logarithm has no place: the curve begins beside it.
  return {
    sigma: sigma.map((s) => (s > 0 ? s : Number.NaN)),
    alpha: sigma.map((s) => 1 / (1 + s * s)),
    snr: sigma.map((s) => (s > 0 && s < Number.POSITIVE_INFINITY ? 1 / (s * s) : Number.NaN)),
  };
}
