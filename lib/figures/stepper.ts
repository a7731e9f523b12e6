import { plotText } from "./escape.js";
import type { Behaviour } from "./figure.js";
import { ink } from "./palette.js";
import type { PlotObject } from "./plot-value.js";
import { numberText } from "./text.js";

/** What is known of each step of a run, in sampling order. */
export interface StepSeries {
  /** Noise standard deviation σ per step; a last one for the end of the run may follow. */
  readonly sigmas?: ArrayLike<number> | undefined;
  /** Discrete timestep per step. */
  readonly timesteps?: ArrayLike<number> | undefined;
}

/** @throws RangeError unless there is a step and both series have an entry for each */
export function expectSteps(where: string, steps: number, { sigmas, timesteps }: StepSeries): void {
  if (steps === 0) throw new RangeError(`${where}: expected at least one step, got none`);
  for (const [name, length, most] of [
    ["sigmas", sigmas?.length ?? steps, steps + 1],
    ["timesteps", timesteps?.length ?? steps, steps],
  ] as const) {
    if (length < steps || length > most)
      throw new RangeError(`${where}: ${name} has ${length} entries for ${steps} steps; give one per step`);
  }
}

/** "step 3 · t = 641 · σ = 2.31" for every step. */
export function stepTexts(steps: number, { sigmas, timesteps }: StepSeries): string[] {
  return Array.from({ length: steps }, (_, step) =>
    [
      `step ${step}`,
      ...(timesteps === undefined ? [] : [`t = ${numberText(timesteps[step])}`]),
      ...(sigmas === undefined ? [] : [`σ = ${numberText(sigmas[step])}`]),
    ].join(" · "),
  );
}

/** The same in a few letters: the timestep, else σ, else the step's number. */
export function shortStepTexts(steps: number, { sigmas, timesteps }: StepSeries): string[] {
  return Array.from({ length: steps }, (_, step) => {
    if (timesteps !== undefined) return `t = ${numberText(timesteps[step])}`;
    return sigmas === undefined ? `step ${step}` : `σ = ${numberText(sigmas[step])}`;
  });
}

/** Evenly chosen steps, at most `count`, the first and the last among them. */
export function evenSteps(steps: number, count: number): readonly number[] {
  const n = Math.min(count, steps);
  return Array.from({ length: n }, (_, i) => (n === 1 ? steps - 1 : Math.round((i * (steps - 1)) / (n - 1))));
}

/** Pixels under the plot that slider and buttons take. */
export const stepperRoom = 84;

const still = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: true } };

/**
 * Slider, play and pause buttons over frames named "0", "1", …, and their keys: arrows, Home and End step, the space bar plays.
 * @param texts what the slider says at each step
 * @param start step shown first
 */
export function stepper(
  texts: readonly string[],
  start: number,
): { readonly layout: PlotObject; readonly behaviour: Behaviour | undefined } {
  if (texts.length === 1) return { layout: {}, behaviour: undefined };
  const duration = Math.round(Math.min(400, Math.max(60, 4000 / texts.length)));
  const play = { ...still, fromcurrent: true, frame: { duration, redraw: true } };
  const place = { y: 0, yanchor: "top", xanchor: "left", bordercolor: ink.axis, bgcolor: ink.panel };
  return {
    layout: {
      sliders: [
        {
          ...place,
          active: start,
          x: 0.12,
          len: 0.88,
          pad: { t: 12, b: 0, l: 0, r: 0 },
          currentvalue: { xanchor: "left", offset: 12, font: { size: 13 } },
          activebgcolor: ink.main,
          tickcolor: ink.axis,
          transition: { duration: 0 },
          steps: texts.map((text, step) => ({ label: plotText(text), method: "animate", args: [[String(step)], still] })),
          minorticklen: 0,
          font: { size: 1, color: "rgba(0,0,0,0)" },
        },
      ],
      updatemenus: [
        {
          ...place,
          type: "buttons",
          direction: "left",
          showactive: false,
          x: 0,
          pad: { t: 36, r: 8 },
          buttons: [
            { label: "▶", method: "animate", args: [null, play] },
            { label: "❚❚", method: "animate", args: [[null], still] },
          ],
        },
      ],
    },
    behaviour: { script: keys, data: { texts, start, play, still } },
  };
}

// Plotly's slider cannot be focused: an invisible native one in front of it has the keys and speaks to screen readers.
// Plotly paints a button under the pointer almost white, whatever the page's ground.
const keys = `function(el,data){
var input=document.createElement("input"),playing=false;
input.type="range";input.min=0;input.max=data.texts.length-1;input.value=data.start;
input.setAttribute("aria-label","step; the space bar plays and pauses");
input.setAttribute("data-lm-suppress-shortcuts","true");
input.style.cssText="position:absolute;left:0;bottom:0;width:1px;height:1px;opacity:0;pointer-events:none";
function say(){input.setAttribute("aria-valuetext",data.texts[input.value])}
say();
input.addEventListener("input",function(){playing=false;say();Plotly.animate(el,[input.value],data.still)});
input.addEventListener("keydown",function(e){
if(e.key!==" ")return;
e.preventDefault();
Plotly.animate(el,playing?[null]:null,playing?data.still:data.play).catch(function(){});
playing=!playing});
el.on("plotly_sliderchange",function(e){input.value=e.slider.active;say()});
el.on("plotly_buttonclicked",function(e){playing=e.active===0});
el.on("plotly_animated",function(){playing=false});
el.addEventListener("click",function(){input.focus({preventScroll:true})});
input.addEventListener("focus",function(){el.style.outlineOffset="-2px";el.style.outline=input.matches(":focus-visible")?"2px solid ${ink.main}":""});
input.addEventListener("blur",function(){el.style.outline=""});
var style=document.createElement("style");
style.textContent=".updatemenu-button:hover rect{fill:rgba(128,128,128,0.3)!important}";
el.appendChild(style);
el.style.position="relative";
el.appendChild(input)}`;
