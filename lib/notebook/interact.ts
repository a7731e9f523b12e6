import { Displayed } from "../figures/document.js";
import { escapeHtml } from "../figures/escape.js";
import { numberText } from "../figures/text.js";
import { showWidget } from "./widget.js";

/** A slider from–to, perhaps with its step; a list of words to choose from; a box to tick. */
export type Control =
  | readonly [min: number, max: number]
  | readonly [min: number, max: number, step: number]
  | readonly string[]
  | boolean;

export type Controls = Readonly<Record<string, Control>>;

type ValueOf<C> = C extends boolean ? boolean : C extends readonly (infer Word extends string)[] ? Word : number;

/** What the controls say. */
export type Values<C extends Controls> = { readonly [K in keyof C]: ValueOf<C[K]> };

export interface InteractOptions<C extends Controls> {
  /** Where the controls stand at first; default the middle, the first word. */
  readonly start?: Partial<Values<C>>;
  /**
   * Draws ahead, so that the controls work without a kernel: in VS Code, in exported pages. Sliders then have this many
   * places; `true` stands for 5. Default off: the kernel draws what is asked for, where the page can reach it.
   */
  readonly precompute?: boolean | number;
}

/** What was asked for last, for other cells to use. */
export class Interaction<C extends Controls> extends Displayed {
  values: Values<C>;
  /** What was drawn for them. */
  result: unknown;

  constructor(values: Values<C>) {
    super();
    this.values = values;
  }

  override toString(): string {
    return Object.entries(this.values)
      .map(([name, value]) => `${name} = ${value}`)
      .join(", ");
  }
}

/** Pictures drawn ahead, at most. */
const mostFrames = 200;

/**
 * Controls, and what `draw` returns for them: a figure, a picture, any value.
 * @throws RangeError for a control that leaves no choice, or more pictures to draw ahead than 200
 * @example
 * import { at, interact, load } from "tweedie";
 *
 * const pipe = await load("shapes");
 * await interact({ steps: [5, 20], strength: [0, 2, 0.1] }, ({ steps, strength }) =>
 *   pipe.with(at("mid_block").scale(strength)).generate("a red circle", { steps, seed: 7 }),
 * );
 */
export async function interact<const C extends Controls>(
  controls: C,
  draw: (values: Values<C>) => unknown,
  options: InteractOptions<C> = {},
): Promise<Interaction<C>> {
  const { precompute = false } = options;
  const places = precompute === true ? 5 : precompute === false ? undefined : precompute;
  const all = Object.entries(controls).map(([name, control]) => widgetOf(name, control, options.start?.[name], places));
  const interaction = new Interaction<C>(Object.fromEntries(all.map(({ name, start }) => [name, start])) as Values<C>);
  const frames = places === undefined ? undefined : combinations(all);
  const same = (values: Values<C>): boolean => all.every(({ name, start }) => values[name] === start);
  interaction.result = await showWidget<Values<C>>({
    label: `controls: ${Object.keys(controls).join(", ")}`,
    panel: `<div style="display:flex;flex-wrap:wrap;gap:6px 24px">${all.map(({ html }) => html).join("")}</div>`,
    script: controlScript,
    data: { sizes: places === undefined ? null : all.map(({ values }) => values.length) },
    draw: async (values) => {
      const result = await draw(values);
      // What is drawn ahead has not been asked for.
      if (places === undefined) Object.assign(interaction, { values, result });
      return result;
    },
    first: (frames as Values<C>[] | undefined)?.find(same) ?? interaction.values,
    frames: frames as Values<C>[] | undefined,
  });
  return interaction;
}

interface ControlWidget {
  readonly name: string;
  readonly html: string;
  readonly start: number | string | boolean;
  /** Those drawn ahead. */
  readonly values: readonly (number | string | boolean)[];
}

function widgetOf(name: string, control: Control, wanted: unknown, places: number | undefined): ControlWidget {
  const label = escapeHtml(name);
  const frame = (input: string, after = ""): string =>
    `<label style="display:flex;gap:6px;align-items:center">${label} ${input}${after}</label>`;
  const attributes = (style = ""): string => `data-name="${label}" style="accent-color:#0072B2${style}"`;
  if (typeof control === "boolean") {
    const start = typeof wanted === "boolean" ? wanted : control;
    return {
      name,
      start,
      values: [false, true],
      html: frame(`<input type="checkbox" ${attributes()}${start ? " checked" : ""}>`),
    };
  }
  if (control.every((word) => typeof word === "string")) {
    if (control.length < 2)
      throw new RangeError(`interact: ${name} needs at least two words to choose from, got ${control.length}`);
    const start = control.includes(wanted as string) ? (wanted as string) : control[0]!;
    const choices = control.map((word) => `<option${word === start ? " selected" : ""}>${escapeHtml(word)}</option>`).join("");
    return { name, start, values: control, html: frame(`<select ${attributes()}>${choices}</select>`) };
  }
  const [min, max] = control as readonly [number, number];
  const step =
    (control as readonly number[])[2] ??
    (Number.isInteger(min) && Number.isInteger(max) && max - min >= 4 ? 1 : (max - min) / 20);
  if (!(min < max) || !(step > 0) || control.length > 3)
    throw new RangeError(`interact: ${name} is a slider [min, max] or [min, max, step], got [${control.join(", ")}]`);
  const snap = (v: number): number => Number((min + Math.round((v - min) / step) * step).toPrecision(12));
  const count = Math.floor((max - min) / step + 1e-9) + 1;
  const values = [
    ...new Set(Array.from({ length: places ?? 1 }, (_, i) => snap(min + ((max - min) * i) / Math.max(1, places! - 1)))),
  ];
  const aim = typeof wanted === "number" ? wanted : (min + max) / 2;
  const near = values.reduce((a, b) => (Math.abs(b - aim) < Math.abs(a - aim) ? b : a));
  const start = places === undefined ? snap(Math.min(max, Math.max(min, aim))) : near;
  const range =
    places === undefined
      ? `min="${min}" max="${min + (count - 1) * step}" step="${step}" value="${start}"`
      : `min="0" max="${values.length - 1}" step="1" value="${values.indexOf(start)}" data-values="${values.join()}" aria-valuetext="${start}"`;
  const output = `<span aria-hidden="true" style="min-width:3em">${escapeHtml(numberText(start, 4))}</span>`;
  return {
    name,
    start,
    values,
    html: frame(`<input type="range" ${range} ${attributes(";width:180px")}>`, output),
  };
}

/** Every combination of the controls' values, the last one changing fastest. */
function combinations(all: readonly ControlWidget[]): Record<string, unknown>[] {
  const total = all.reduce((product, { values }) => product * values.length, 1);
  if (total > mostFrames)
    throw new RangeError(`interact: precompute would draw ${total} pictures, over ${mostFrames}; use fewer controls or places`);
  return all.reduce<Record<string, unknown>[]>(
    (made, { name, values }) => made.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
}

// With `sizes` the controls number a frame; without, they say their values, once they have come to rest.
const controlScript = `function(root,ask,d){
var inputs=[].slice.call(root.querySelectorAll("[data-name]")),timer;
function value(i){return i.type==="checkbox"?i.checked:i.type==="range"?+i.value:i.value}
function index(i){return i.type==="checkbox"?+i.checked:i.type==="range"?+i.value:i.selectedIndex}
function say(){
if(d.sizes){ask(inputs.reduce(function(at,i,k){return at*d.sizes[k]+index(i)},0));return}
var m={};inputs.forEach(function(i){m[i.dataset.name]=value(i)});ask(m)}
inputs.forEach(function(i){i.addEventListener("input",function(){
if(i.type==="range"){var t=i.dataset.values?i.dataset.values.split(",")[i.value]:i.value;
i.nextElementSibling.textContent=t;i.setAttribute("aria-valuetext",t)}
clearTimeout(timer);timer=setTimeout(say,d.sizes?0:150)})})}`;
