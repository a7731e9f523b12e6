/** Colours that stay apart for colour-blind readers, the dark and light ones last (Okabe and Ito 2008). */
export const okabeIto: readonly string[] = [
  "#0072B2",
  "#E69F00",
  "#009E73",
  "#CC79A7",
  "#56B4E9",
  "#D55E00",
  "#F0E442",
  "#8c8c8c",
];

const symbols: readonly string[] = ["circle", "diamond", "square", "cross", "triangle-up", "x", "star", "hexagon"];

/** The look of class number `index`: eight colours, then the same colours with other marks. */
export function classStyle(index: number): { color: string; symbol: string } {
  return {
    color: okabeIto[index % okabeIto.length]!,
    symbol: symbols[Math.floor(index / okabeIto.length) % symbols.length]!,
  };
}

/** The same for classes that have colours of their own, such as colours: eight marks keep them apart for colour-blind readers. */
export function ownColorStyle(index: number, color: string): { color: string; symbol: string } {
  return { color, symbol: symbols[index % symbols.length]! };
}

/** Fixed meanings, so that one colour says the same thing in every figure. */
export const ink: {
  readonly text: string;
  readonly faint: string;
  readonly grid: string;
  readonly axis: string;
  readonly panel: string;
  readonly main: string;
  readonly accent: string;
  readonly good: string;
  readonly bad: string;
} = {
  text: "#6b7280",
  faint: "rgba(128,128,128,0.45)",
  grid: "rgba(128,128,128,0.20)",
  axis: "rgba(128,128,128,0.55)",
  panel: "rgba(128,128,128,0.12)",
  main: "#0072B2",
  accent: "#E69F00",
  good: "#009E73",
  bad: "#D55E00",
};

/** A Plotly colour scale as stops from 0 to 1. */
export type ColorScale = readonly (readonly [number, string])[];

const evenly = (colors: readonly string[]): ColorScale => colors.map((c, i) => [i / (colors.length - 1), c] as const);

/** Perceptually even, for unsigned maps. */
export const viridis: ColorScale = evenly([
  "#440154",
  "#482878",
  "#3e4989",
  "#31688e",
  "#26828e",
  "#1f9e89",
  "#35b779",
  "#6ece58",
  "#b5de2b",
  "#fde725",
]);

/** Perceptually even and safe in every kind of colour blindness. */
export const cividis: ColorScale = evenly([
  "#00224e",
  "#123570",
  "#3b496c",
  "#575d6d",
  "#707173",
  "#8a8678",
  "#a59c74",
  "#c3b369",
  "#e1cc55",
  "#fee838",
]);

/** Blue below zero, white at zero, red above (ColorBrewer RdBu): for signed maps, centred. */
export const signed: ColorScale = evenly([
  "#053061",
  "#2166ac",
  "#4393c3",
  "#92c5de",
  "#d1e5f0",
  "#f7f7f7",
  "#fddbc7",
  "#f4a582",
  "#d6604d",
  "#b2182b",
  "#67001f",
]);

/**
 * The scale with opacity, to lay over a picture: clear where the map says nothing, most opaque where it says most.
 * @param clear where on the scale, 0…1, nothing is said: 0 for unsigned maps, 0.5 for signed ones
 */
export function overlay(scale: ColorScale, clear: number): ColorScale {
  const reach = Math.max(clear, 1 - clear);
  return scale.map(([stop]) => {
    const alpha = 0.88 * Math.min(1, 1.6 * (Math.abs(stop - clear) / reach) ** 0.8);
    return [stop, `rgba(${colorAt(scale, stop).join(",")},${Number(alpha.toFixed(3))})`] as const;
  });
}

/** Red, green, blue in 0…255 and opacity in 0…1 of "#rrggbb" or "rgba(r,g,b,a)". */
function channelsOf(color: string): readonly number[] {
  return color.startsWith("#")
    ? [...[1, 3, 5].map((from) => Number.parseInt(color.slice(from, from + 2), 16)), 1]
    : color
        .slice(color.indexOf("(") + 1, -1)
        .split(",")
        .map(Number);
}

/** The colour of a scale at `t` in 0…1: red, green, blue in 0…255, and opacity in 0…1. */
export function colorWithOpacityAt(scale: ColorScale, t: number): readonly [number, number, number, number] {
  const clamped = Math.min(1, Math.max(0, t));
  const upper = Math.max(
    1,
    scale.findIndex(([stop]) => stop >= clamped),
  );
  const [a, from] = scale[upper - 1]!;
  const [b, to] = scale[upper]!;
  const [low, high] = [channelsOf(from), channelsOf(to)];
  const mixed = (i: number): number => low[i]! + ((clamped - a) / (b - a)) * (high[i]! - low[i]!);
  return [Math.round(mixed(0)), Math.round(mixed(1)), Math.round(mixed(2)), mixed(3)];
}

/** The colour of a scale at `t` in 0…1, as red, green, blue in 0…255. */
export function colorAt(scale: ColorScale, t: number): readonly [number, number, number] {
  const [red, green, blue] = colorWithOpacityAt(scale, t);
  return [red, green, blue];
}
