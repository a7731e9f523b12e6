import { notebookWidth } from "./layout.js";
import { ink } from "./palette.js";
import type { PlotObject, PlotValue, Trace } from "./plot-value.js";
import { type AxisSpec, axisRange, type Panel, placeAxis } from "./static-axes.js";
import { traceSvg } from "./static-marks.js";
import { plainLines, px, svgText, xmlText } from "./static-text.js";

const fontFamily = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

/**
 * A figure as a still SVG picture, for readers that run no scripts: axes, lines, points, bars, maps, pictures, texts.
 * It is plainer than the live figure: no hover, no slider, the first frame only.
 */
export function staticSvg(figure: {
  readonly data: readonly Trace[];
  readonly layout: PlotObject;
  readonly summary: string;
}): string {
  const { data } = figure;
  const layout = withoutControls(figure.layout);
  const height = Number(layout.height ?? 400);
  const panels = placePanels(data, layout, height);
  const parts = [
    ...[...panels.values()].map(axesSvg),
    ...shapesOf(layout, panels, "below"),
    ...[...panels.values()].flatMap((panel) => panel.traces.map((trace) => traceSvg(trace, panel, data, layout))),
    ...shapesOf(layout, panels, "above"),
    ...annotationsOf(layout, panels),
    legendSvg(data, layout, height),
    titleSvg(layout),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${notebookWidth} ${px(height)}" width="${notebookWidth}" height="${px(height)}"`,
    ` font-family="${fontFamily}" font-size="12" fill="${ink.text}" role="img"><title>${xmlText(figure.summary)}</title>${parts.join("")}</svg>`,
  ].join("");
}

/** The layout without the room that a slider takes under the plot. */
function withoutControls(layout: PlotObject): PlotObject {
  if (layout.sliders === undefined) return layout;
  const margin = layout.margin as { readonly b: number };
  const bottom = Math.min(margin.b, 12);
  return { ...layout, height: Number(layout.height) - margin.b + bottom, margin: { ...margin, b: bottom } };
}

function axisOf(layout: PlotObject, id: string): AxisSpec {
  const name = `${id[0]}axis${id.slice(1)}`;
  return (layout[name] ?? {}) as unknown as AxisSpec;
}

/** Room that named ticks take, in pixels. */
function namesWidth(spec: AxisSpec): number {
  return Math.max(0, ...(spec.ticktext ?? []).map((t) => plainLines(t).lines[0]!.length)) * 6.6 + 14;
}

function placePanels(data: readonly Trace[], layout: PlotObject, height: number): Map<string, Panel> {
  const margin = layout.margin as { l: number; r: number; t: number; b: number };
  const groups = new Map<string, Trace[]>();
  for (const trace of data) {
    const key = `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}`;
    groups.set(key, [...(groups.get(key) ?? []), trace]);
  }
  const panels = new Map<string, Panel>();
  const hasBar = data.some((t) => t.colorbar !== undefined) || layout.coloraxis !== undefined;
  for (const [key, traces] of groups) {
    const [xId, yId] = key.split(" ") as [string, string];
    const xSpec = axisOf(layout, xId);
    const ySpec = axisOf(layout, yId);
    const under = ySpec.overlaying === undefined ? ySpec : axisOf(layout, ySpec.overlaying);
    const xTraces = data.filter((t) => (t.xaxis ?? "x") === xId);
    let [x0, x1] = axisRange(xSpec, xTraces, "x");
    let [y0, y1] = axisRange(ySpec, traces, "y");
    const names = namesWidth(ySpec) + (ySpec.title?.text ? 22 : 0);
    const isAtLeft = (xSpec.domain?.[0] ?? 0) === 0;
    const left = isAtLeft ? Math.max(margin.l, ySpec.visible === false ? 0 : names) : margin.l;
    const width =
      notebookWidth -
      left -
      Math.max(margin.r, hasBar ? 76 : 0, data.some((t) => t.name !== undefined && legendAtSide(layout)) ? 150 : 0);
    const inner = height - margin.t - margin.b;
    const [dx0, dx1] = xSpec.domain ?? [0, 1];
    const [dy0, dy1] = under.domain ?? [0, 1];
    const box = {
      left: left + dx0 * width,
      right: left + dx1 * width,
      top: margin.t + (1 - dy1) * inner,
      bottom: margin.t + (1 - dy0) * inner,
    };
    if (ySpec.scaleanchor !== undefined) {
      const perX = (box.right - box.left) / Math.abs(x1 - x0);
      const perY = (box.bottom - box.top) / Math.abs(y1 - y0);
      const unit = Math.min(perX, perY);
      if (ySpec.constrain === "domain") {
        box.right = box.left + unit * Math.abs(x1 - x0);
        box.bottom = box.top + unit * Math.abs(y1 - y0);
      } else {
        [x0, x1] = widen(x0, x1, perX / unit);
        [y0, y1] = widen(y0, y1, perY / unit);
      }
    }
    panels.set(key, {
      x: placeAxis(xSpec, [x0, x1], box.left, box.right),
      y: placeAxis(ySpec, [y0, y1], box.bottom, box.top, 36),
      traces,
    });
  }
  return panels;
}

function widen(a: number, b: number, factor: number): [number, number] {
  const middle = (a + b) / 2;
  return [middle + (a - middle) * factor, middle + (b - middle) * factor];
}

function axesSvg({ x, y }: Panel): string {
  const parts: string[] = [];
  const line = (x1: number, y1: number, x2: number, y2: number, color: string): string =>
    `<path d="M${px(x1)} ${px(y1)}L${px(x2)} ${px(y2)}" stroke="${color}" fill="none"/>`;
  if (x.spec.visible !== false) {
    for (const tick of x.ticks) {
      if (x.spec.showgrid !== false) parts.push(line(x.at(tick.value), y.from, x.at(tick.value), y.to, ink.grid));
      if (x.spec.showticklabels !== false) parts.push(svgText(tick.text, x.at(tick.value), y.from + 17, 'text-anchor="middle"'));
    }
    parts.push(
      line(x.from, y.from, x.to, y.from, ink.axis),
      svgText(x.spec.title?.text ?? "", (x.from + x.to) / 2, y.from + 36, 'text-anchor="middle"'),
    );
  }
  if (y.spec.visible !== false) {
    const right = y.spec.side === "right";
    const edge = right ? x.to : x.from;
    for (const tick of y.ticks) {
      if (y.spec.showgrid !== false) parts.push(line(x.from, y.at(tick.value), x.to, y.at(tick.value), ink.grid));
      if (y.spec.showticklabels !== false)
        parts.push(svgText(tick.text, edge + (right ? 7 : -7), y.at(tick.value) + 4, `text-anchor="${right ? "start" : "end"}"`));
    }
    parts.push(line(edge, y.from, edge, y.to, ink.axis));
    const title = y.spec.title?.text ?? "";
    const middle = (y.from + y.to) / 2;
    const at = right ? Math.min(notebookWidth - 4, edge + 46) : Math.max(12, edge - Math.max(46, namesWidth(y.spec) + 8));
    if (title !== "")
      parts.push(svgText(title, at, middle, `text-anchor="middle" transform="rotate(-90 ${px(at)} ${px(middle)})"`));
  }
  return parts.join("");
}

/** Pixel of a position given in data, in shares of a panel ("x2 domain") or of the paper. */
function position(value: number, ref: string, panels: Map<string, Panel>): number {
  const along = ref.startsWith("y") ? "y" : "x";
  const id = ref.split(" ")[0]!;
  const panel = [...panels].find(([key]) => key.split(" ").includes(id))?.[1] ?? panels.values().next().value;
  if (panel === undefined) return 0;
  const axis = panel[along];
  return ref.endsWith("domain") ? axis.from + value * (axis.to - axis.from) : axis.at(value);
}

function paper(ref: PlotValue, along: "x" | "y"): string {
  const name = String(ref ?? along);
  return name === "paper" ? `${along} domain` : name;
}

/** Plotly places annotations, other than shapes, on a logarithmic axis by their logarithm. */
function unlogged(value: PlotValue, ref: string, layout: PlotObject): number {
  return axisOf(layout, ref).type === "log" ? 10 ** Number(value) : Number(value);
}

function annotationsOf(layout: PlotObject, panels: Map<string, Panel>): string[] {
  return ((layout.annotations ?? []) as readonly PlotObject[]).map((a) => {
    const x = position(unlogged(a.x, paper(a.xref, "x"), layout), paper(a.xref, "x"), panels) + Number(a.xshift ?? 0);
    const y = position(unlogged(a.y, paper(a.yref, "y"), layout), paper(a.yref, "y"), panels) - Number(a.yshift ?? 0);
    const anchor = a.xanchor === "left" ? "start" : a.xanchor === "right" ? "end" : "middle";
    const lines = String(a.text).split("<br>").length;
    const drop = a.yanchor === "bottom" ? -4 - (lines - 1) * 13 : a.yanchor === "top" ? 13 : 4 - (lines - 1) * 6;
    const { size = 12, color = ink.text } = (a.font ?? {}) as { size?: number; color?: string };
    return svgText(String(a.text), x, y + drop, `text-anchor="${anchor}" font-size="${size}" fill="${color}"`);
  });
}

function shapesOf(layout: PlotObject, panels: Map<string, Panel>, layer: "above" | "below"): string[] {
  return ((layout.shapes ?? []) as readonly PlotObject[])
    .filter((s) => (s.layer ?? "above") === layer)
    .map((s) => {
      const [x0, x1] = [s.x0, s.x1].map((v) => position(Number(v), paper(s.xref, "x"), panels)) as [number, number];
      const [y0, y1] = [s.y0, s.y1].map((v) => position(Number(v), paper(s.yref, "y"), panels)) as [number, number];
      const { color = ink.text, width = 1, dash } = s.line as { color?: string; width?: number; dash?: string };
      const stroke = `stroke="${color}" stroke-width="${width}" fill="none"${dash === undefined ? "" : ' stroke-dasharray="4 3"'}`;
      return s.type === "rect"
        ? `<rect x="${px(Math.min(x0, x1))}" y="${px(Math.min(y0, y1))}" width="${px(Math.abs(x1 - x0))}" height="${px(Math.abs(y1 - y0))}" ${stroke}/>`
        : `<path d="M${px(x0)} ${px(y0)}L${px(x1)} ${px(y1)}" ${stroke}/>`;
    });
}

function legendAtSide(layout: PlotObject): boolean {
  return layout.showlegend === true && (layout.legend as PlotObject | undefined)?.orientation !== "h";
}

function legendSvg(data: readonly Trace[], layout: PlotObject, height: number): string {
  if (layout.showlegend === false) return "";
  const named = data.filter((t) => typeof t.name === "string" && t.showlegend !== false && t.type !== "heatmap");
  if (named.length === 0) return "";
  const margin = layout.margin as { l: number; t: number; b: number };
  const side = legendAtSide(layout);
  const share = Number((layout.legend as PlotObject | undefined)?.y ?? 1);
  const top = side ? margin.t + 12 : margin.t + (1 - share) * (height - margin.t - margin.b) - 10;
  let left = side ? notebookWidth - 140 : margin.l;
  return named
    .map((trace, i) => {
      const color =
        ((trace.line ?? trace.marker) as PlotObject | undefined)?.color ?? (trace.marker as PlotObject | undefined)?.color;
      const y = side ? top + i * 18 : top;
      const name = plainLines(String(trace.name)).lines.join(" ");
      const entry = `<rect x="${px(left)}" y="${px(y - 9)}" width="12" height="10" fill="${typeof color === "string" ? color : ink.main}"/>${svgText(String(trace.name), left + 17, y, "")}`;
      if (!side) left += 34 + name.length * 6.6;
      return entry;
    })
    .join("");
}

function titleSvg(layout: PlotObject): string {
  const title = layout.title as { text: string; subtitle?: { text: string } };
  return (
    svgText(title.text, 12, 22, 'font-size="15"') + (title.subtitle === undefined ? "" : svgText(title.subtitle.text, 12, 46, ""))
  );
}
