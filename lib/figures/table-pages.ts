import { createHash } from "node:crypto";
import { escapeHtml, scriptJson } from "./escape.js";
import { ink } from "./palette.js";
import { numberText } from "./text.js";

/** A column as it is read. */
export interface TextColumn {
  readonly name: string;
  /** Only numbers and missing values. */
  readonly numeric: boolean;
  /** A missing value is "–". */
  readonly text: (row: number) => string;
}

export interface PagedRows {
  /** Of the whole table. */
  readonly rows: number;
  /** Kept at most. */
  readonly most: number;
  /** Whether whoever asked for the table set that bound. */
  readonly chosen: boolean;
}

const pageRows = 25;
/** Of all HTML of a table, unless its first page alone takes more. */
const mostBytes = 200_000;

/**
 * A table that shows its first page of 25 rows everywhere, and turns and sorts where scripts run. The rows of later pages stand in
 * the script, as many as leave the whole below 200 kB.
 */
export function tablePages(columns: readonly TextColumn[], title: string | undefined, { rows, most, chosen }: PagedRows): string {
  const shown = Math.min(most, pageRows);
  const first = firstPage(columns, title, shown);
  const fixed = style.length + pagerStyle.length + tableScript.length + 500;
  const later = laterRows(columns, most, mostBytes - fixed - Buffer.byteLength(first));
  const kept = shown + (later[0]?.length ?? 0);
  const cut = kept > shown && kept < rows;
  const of = cut ? `the first ${numberText(kept)}` : numberText(rows);
  const slice = kept < most || (kept < rows && !chosen) ? `; table.slice(${kept}) shows others` : "";
  const whole = `${cut ? ` of ${numberText(rows)}` : ""}${slice}`;
  const caption = `<span role="status">rows 1–${shown} of ${of}</span><span>${whole}</span>`;
  const inside = `${first}${shown < rows ? `<div class="tweedie-rows" style="font:12px system-ui,sans-serif;padding:2px 10px 4px">${caption}</div>` : ""}`;
  const data = scriptJson({ later, of, size: pageRows });
  // Tables of the same name are the same, so a script may take any of them.
  const name = createHash("sha256").update(inside).update(data).digest("hex").slice(0, 12);
  const script =
    kept < 2
      ? ""
      : `<script>(function(){var root=document.querySelector('[data-table="${name}"]:not([data-alive])');if(!root)return;root.setAttribute("data-alive","");(${tableScript})(root,${data})})()</script>`;
  return `<div data-table="${name}"><style>${style}${kept > shown ? pagerStyle : ""}</style>${inside}</div>${script}`;
}

function firstPage(columns: readonly TextColumn[], title: string | undefined, shown: number): string {
  const right = (numeric: boolean): string => (numeric ? ' class="n"' : "");
  const head = columns.map((c) => `<th scope="col"${right(c.numeric)}>${escapeHtml(c.name)}</th>`).join("");
  const body = Array.from({ length: shown }, (_, row) => {
    const cells = columns.map((c) => `<td${right(c.numeric)}>${escapeHtml(c.text(row))}</td>`).join("");
    return `<tr>${cells}</tr>`;
  }).join("");
  return [
    '<div style="overflow:auto;max-width:100%"><table class="tweedie-table">',
    title === undefined
      ? ""
      : `<caption style="caption-side:top;text-align:left;font-weight:600;padding:2px 10px 6px;color:inherit">${escapeHtml(title)}</caption>`,
    `<thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`,
  ].join("");
}

/** Columns of the rows behind the first page, as many as there is room for, in bytes. */
function laterRows(columns: readonly TextColumn[], most: number, room: number): (string | number)[][] {
  const later: (string | number)[][] = columns.map(() => []);
  let left = room;
  for (let row = pageRows; row < most; row++) {
    const cells = columns.map(({ numeric, text }) => (numeric ? short(text(row)) : text(row)));
    left -= Buffer.byteLength(scriptJson(cells));
    if (left < 0) break;
    for (const [c, cell] of cells.entries()) later[c]!.push(cell);
  }
  return later;
}

/** The number that is written like the text, where there is one: it takes less. */
function short(text: string): string | number {
  const x = Number(text.replaceAll("−", "-"));
  return Number.isFinite(x) && String(x).replaceAll("-", "−") === text ? x : text;
}

// One style for all cells, not one in each. The class stands twice so that JupyterLab does not set texts to the right.
const style = [
  ".tweedie-table{display:table;border-collapse:collapse;font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums;margin:4px 0;color:inherit}",
  ".tweedie-table.tweedie-table :is(th,td){text-align:left;padding:3px 10px;border-bottom:1px solid rgba(128,128,128,.25);white-space:nowrap}",
  ".tweedie-table.tweedie-table .n{text-align:right}",
  ".tweedie-table th{font-weight:600}",
  ".tweedie-table button{all:unset;position:relative;cursor:pointer}",
  ".tweedie-table button::after{position:absolute;left:100%;bottom:.1em;padding-left:1px;font-size:8px}",
  '.tweedie-table :is(th[aria-sort=ascending] button,th:not([aria-sort]) button:hover)::after{content:"▲";content:"▲"/""}',
  '.tweedie-table th[aria-sort=descending] button::after{content:"▼";content:"▼"/""}',
  ".tweedie-table th:not([aria-sort]) button::after{opacity:.5}",
  `:is(.tweedie-table,.tweedie-rows) button:focus-visible{outline:2px solid ${ink.main};outline-offset:1px}`,
].join("");
const pagerStyle = [
  ".tweedie-rows{display:flex;flex-wrap:wrap;align-items:center;font-variant-numeric:tabular-nums;white-space:pre}",
  ".tweedie-rows span{opacity:.75}",
  ".tweedie-rows button{all:unset;box-sizing:border-box;min-width:28px;margin-right:4px;text-align:center;font-size:15px;line-height:22px;border:1px solid rgba(128,128,128,.5);border-radius:4px;cursor:pointer}",
  ".tweedie-rows button:last-of-type{margin-right:10px}",
  ".tweedie-rows button:hover{background:rgba(128,128,128,.2)}",
  ".tweedie-rows button[aria-disabled=true]{color:rgba(128,128,128,.6);cursor:default;background:none}",
].join("");

// A button at an end is not disabled, or the keyboard's focus would be lost. Keys on a button are not the notebook's shortcuts.
// Columns and the table's height only grow, so that nothing moves under the pointer.
const tableScript = `function(root,data){
const all=s=>[...root.querySelectorAll(s)],heads=all("th"),body=root.querySelector("tbody"),rows=root.querySelector(".tweedie-rows");
const numeric=heads.map(h=>h.className==="n"),size=data.size,names=new Intl.Collator("en",{numeric:true});
const columns=heads.map((h,c)=>[...body.rows].map(r=>r.cells[c].textContent).concat(data.later[c].map(x=>typeof x==="number"?String(x).replaceAll("-","−"):x)));
const count=columns[0].length,last=Math.floor((count-1)/size)*size,given=columns[0].map((x,i)=>i);
let order=given,from=0;
function number(text){
const t=text.replaceAll("−","-").replaceAll("\\u202f","").replace("∞","Infinity");
return /^-?\\d+$/.test(t)?BigInt(t):Number(t)}
function sorted(c,sign){
const keys=numeric[c]?columns[c].map(number):columns[c],missing=i=>columns[c][i]==="–";
const compare=numeric[c]?(a,b)=>(a>b)-(a<b):names.compare;
return [...given].sort((i,j)=>missing(i)-missing(j)||sign*compare(keys[i],keys[j]))}
function draw(){
const box=root.querySelector("div");
box.style.minHeight=box.offsetHeight+"px";
heads.forEach(h=>{h.style.boxSizing="border-box";h.style.minWidth=h.getBoundingClientRect().width+"px"});
body.textContent="";
order.slice(from,from+size).forEach(i=>{
const r=body.insertRow();
columns.forEach((texts,c)=>{const cell=r.insertCell();cell.textContent=texts[i];if(numeric[c])cell.className="n"})});
tell()}
function tell(){
if(!last)return;
rows.querySelector("[role=status]").textContent="rows "+(from+1)+"–"+Math.min(count,from+size)+" of "+data.of;
turns.forEach(([b,to])=>b.setAttribute("aria-disabled",to()===from))}
function button(text,act){
const b=document.createElement("button");
b.type="button";b.textContent=text;b.onclick=act;
b.setAttribute("data-lm-suppress-shortcuts","true");
b.addEventListener("keydown",e=>{if(e.key==="Enter"||e.key===" ")e.stopPropagation()});
return b}
heads.forEach((h,c)=>h.replaceChildren(button(h.textContent,()=>{
const was=h.getAttribute("aria-sort");
heads.forEach(o=>o.removeAttribute("aria-sort"));
if(was!=="descending")h.setAttribute("aria-sort",was?"descending":"ascending");
order=was==="descending"?given:sorted(c,was?-1:1);from=0;draw()})));
const turns=[["«","first page",()=>0],["‹","previous page",()=>Math.max(0,from-size)],["›","next page",()=>Math.min(last,from+size)],["»","last page",()=>last]].map(([text,label,to])=>{
const b=button(text,()=>{if(to()!==from){from=to();draw()}});
b.setAttribute("aria-label",label);
return [b,to]});
if(last){rows.prepend(...turns.map(([b])=>b));tell()}}`;
