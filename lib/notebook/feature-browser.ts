import { escapeHtml } from "../figures/escape.js";
import { type FeatureCard, featureCard } from "../figures/feature-card.js";
import { numberText, percentText } from "../figures/text.js";
import { showWidget } from "./widget.js";

/** A feature as a list shows it. */
export interface ListedFeature {
  readonly feature: number;
  /** What it is about, if that is known; searched in. */
  readonly label?: string;
  /** Share of tokens on which it fires. */
  readonly firingRate?: number;
  /** How well the label tells when it fires, on held-out data. */
  readonly auc?: number;
}

export interface FeatureBrowserOptions {
  readonly title?: string;
  /** Draws the cards of so many features ahead, so that they open without a kernel; the list then has only these. Default none. */
  readonly precompute?: number;
}

/**
 * A list of an SAE's features to search in, and the card of the one that is chosen.
 * @param card what the card of a feature shows, asked for when it is opened
 * @throws RangeError for an empty list
 * @example
 * import { collect, decileSamples, featureBrowser, featureExamples, imageCodes, load, trainSae } from "tweedie";
 *
 * const pipe = await load("shapes");
 * const acts = await collect(pipe, ["a red circle", "a blue square"], { at: "mid_block", steps: 4, seeds: [0, 1, 2] });
 * const sae = await trainSae(acts, { features: 16, k: 4, steps: 40, batchSize: 64 });
 * const codes = await imageCodes(sae, acts);
 * const { firingRates } = await sae.metrics(acts);
 * await featureBrowser(
 *   Array.from(firingRates, (firingRate, feature) => ({ feature, firingRate })),
 *   async (feature) => ({
 *     feature,
 *     examples: await featureExamples(pipe, sae, acts, feature, decileSamples(codes, feature)),
 *     activations: (await sae.encodeSparse(acts)).column(feature),
 *   }),
 * );
 */
export async function featureBrowser(
  features: readonly ListedFeature[],
  card: (feature: number) => FeatureCard | Promise<FeatureCard>,
  { title = "Features", precompute }: FeatureBrowserOptions = {},
): Promise<void> {
  const listed = precompute === undefined ? features : features.slice(0, precompute);
  if (listed.length === 0) throw new RangeError("featureBrowser: expected at least one feature, got none");
  const frames = listed.map(({ feature }) => ({ feature }));
  const cut = listed.length < features.length ? ` (${listed.length} of ${features.length})` : "";
  await showWidget<{ readonly feature: number }>({
    label: title,
    panel: [
      `<label style="display:flex;gap:8px;align-items:center"><b>${escapeHtml(title)}${cut}</b> <input type="search" placeholder="number or word" style="flex:0 1 200px;font:inherit;background:transparent;color:inherit;border:1px solid rgba(128,128,128,.6);border-radius:4px;padding:2px 6px"></label>`,
      `<div style="max-height:180px;overflow-y:auto;margin-top:6px;display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:2px">${listed.map(entry).join("")}</div>`,
    ].join(""),
    script: listScript,
    data: { frames: precompute !== undefined },
    draw: async ({ feature }) => featureCard(await card(Number(feature))),
    first: frames[0]!,
    frames: precompute === undefined ? undefined : frames,
  });
}

function entry({ feature, label, firingRate, auc }: ListedFeature, index: number): string {
  const facts = [
    ...(firingRate === undefined ? [] : [`fires ${percentText(firingRate)}`]),
    ...(auc === undefined ? [] : [`AUC ${numberText(auc)}`]),
  ].join(" · ");
  const style =
    "all:unset;cursor:pointer;padding:2px 6px;border-radius:4px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;outline-offset:-2px";
  return `<button type="button" data-feature="${feature}" aria-pressed="${index === 0}" style="${style}"><b>${feature}</b> ${escapeHtml(label ?? "")} <span style="opacity:.65">${facts}</span></button>`;
}

// The outline is drawn by script: `all: unset` takes the focus ring with it, and an output has no style sheet of its own.
const listScript = `function(root,ask,d){
var all=[].slice.call(root.querySelectorAll("[data-feature]"));
function mark(b,on){b.setAttribute("aria-pressed",on);b.style.background=on?"rgba(0,114,178,.18)":""}
mark(all[0],true);
all.forEach(function(b,i){
b.addEventListener("click",function(){all.forEach(function(o){mark(o,o===b)});ask(d.frames?i:{feature:+b.dataset.feature})});
b.addEventListener("focus",function(){b.style.outline="2px solid #0072B2"});
b.addEventListener("blur",function(){b.style.outline=""})});
root.querySelector("input").addEventListener("input",function(e){
var words=e.target.value.toLowerCase().split(/\\s+/);
all.forEach(function(b){var t=b.textContent.toLowerCase();b.hidden=!words.every(function(w){return t.indexOf(w)>=0});b.style.display=b.hidden?"none":""})})}`;
