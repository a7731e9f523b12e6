import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

/** Where the kernel keeps its contract with the library: `globalThis[notebookSymbol]`. */
export const notebookSymbol: unique symbol = Symbol.for("tweedie.notebook");

/** The method by which a value shows itself in a notebook. */
export const jupyterDisplay: unique symbol = Symbol.for("Jupyter.display");

/** One value in several formats, by MIME type; the reader picks the richest it knows. */
export type MimeBundle = { readonly [mime: string]: unknown };

/** Anything that shows itself in a notebook. */
export interface Displayable {
  [jupyterDisplay](): MimeBundle | Promise<MimeBundle>;
}

/** An object of a class that extends `Displayed`. */
export interface DisplayedObject extends Displayable {
  /** The formats in which the object shows itself; unless a class says more, its `toString()`. */
  mimeBundle(): MimeBundle | Promise<MimeBundle>;
}

/**
 * Base class of results that show themselves as a cell's last expression: a subclass overrides `mimeBundle`.
 * (A class with a symbol-named method cannot be declared under isolatedDeclarations, a constant of this type can.)
 */
export const Displayed: abstract new () => DisplayedObject = class {
  mimeBundle(): MimeBundle {
    return { "text/plain": String(this) };
  }

  [jupyterDisplay](): MimeBundle | Promise<MimeBundle> {
    return this.mimeBundle();
  }
};

// A process without our kernel (stock tslab) serves one notebook: its document is the process.
const processState = new Map<string, unknown>();

/** What has been put once into the document that outputs go to. */
export function documentState(): Map<string, unknown> {
  const runtime = (globalThis as { [notebookSymbol]?: { documentState?: Map<string, unknown> } })[notebookSymbol];
  return runtime?.documentState ?? processState;
}

/** A short id, new in this document. */
export function documentId(prefix: string): string {
  const state = documentState();
  const count = ((state.get("figure-count") as number | undefined) ?? 0) + 1;
  state.set("figure-count", count);
  return `${prefix}-${count}`;
}

let plotlySource: string | undefined;

function readPlotly(): string {
  plotlySource ??= readFileSync(createRequire(import.meta.url).resolve("plotly.js-cartesian-dist-min"), "utf8");
  return plotlySource;
}

let compressed: string | undefined;

/** plotly.js as base64 of its gzip: less than half of its 1.5 MB, which every browser since 2023 can unpack. */
function compressedPlotly(): string {
  compressed ??= gzipSync(readPlotly(), { level: 9 }).toString("base64");
  return compressed;
}

// Draws the figures that wait in the array `tweedieFigures`, and those that come later, in the text colour of the page, so that
// figures read on light and on dark ground; follows it from one to the other.
const drawScript = `function start(){
if(window.tweedieFigures&&tweedieFigures.draw)return;
var waiting=window.tweedieFigures||[];
function draw(el,spec,behaviour){
var color=getComputedStyle(el).color,layout=Object.assign({},spec.layout);
layout.font=Object.assign({},layout.font,{color:color});
spec.data.forEach(function(t){if(t.error_x)t.error_x.color=color});
(layout.sliders||[]).forEach(function(s){s.currentvalue.font.color=color});
el.innerHTML="";
return Plotly.newPlot(el,{data:spec.data,layout:layout,frames:spec.frames,config:spec.config}).then(function(){
if(behaviour)behaviour(el,spec.extra,color);
function follow(){
var ink=getComputedStyle(el).color,now={"font.color":ink};
(layout.sliders||[]).forEach(function(s,i){now["sliders["+i+"].currentvalue.font.color"]=ink});
if(!el.isConnected)return;
spec.data.forEach(function(t,i){if(t.error_x)Plotly.restyle(el,{"error_x.color":ink},[i])});
Plotly.relayout(el,now)}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",follow);
addEventListener("themechange",follow);
new MutationObserver(follow).observe(document.body,{attributes:true,attributeFilter:["class","data-jp-theme-light"]});
el.setAttribute("data-drawn","yes")})}
window.tweedieFigures={draw:draw,push:function(f){
draw(f[0],f[1],f[2]).catch(function(e){f[0].textContent="This figure could not be drawn: "+e.message})}};
waiting.forEach(tweedieFigures.push)
}`;

const unpackScript = `function unpack(packed){
var bytes=Uint8Array.from(atob(packed),function(c){return c.charCodeAt(0)});
return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text().then(function(code){
var script=document.createElement("script");script.textContent=code;document.head.appendChild(script);start()})}`;

const libraryState = "plotly-loaded";

/**
 * The script that brings plotly.js and the drawing code into a document, once: empty when the document has it.
 * A figure that is replaced later must not carry it, or the replacement takes the library away.
 * @param standalone for a document of its own: always the script, which then draws without delay
 */
export function plotlyLoader(standalone = false): string {
  if (standalone) return `${opening}if(!window.Plotly){${readPlotly()}\n}\n${drawScript}\nstart()})()</script>`;
  const state = documentState();
  if (state.get(libraryState) === true) return "";
  state.set(libraryState, true);
  return `${opening}${drawScript}\n${unpackScript}\nwindow.Plotly?start():unpack("${compressedPlotly()}")})()</script>`;
}

const opening = "<script data-tweedie-library>(function(){";

/** HTML without the scripts of `plotlyLoader`, for a document that has its own. */
export function withoutLibrary(html: string): string {
  return html.replace(/<script data-tweedie-library>[\s\S]*?<\/script>/g, "");
}

/** Says that the document has lost plotly.js, with the output that held it: the next figure brings it again. */
export function forgetLibrary(): void {
  documentState().delete(libraryState);
}
