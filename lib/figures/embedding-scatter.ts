import type { Tensor } from "../tensor/tensor.js";
import { hoverText, plotText } from "./escape.js";
import { type Behaviour, Figure } from "./figure.js";
import { axis, colorBar, frame } from "./layout.js";
import { cividis, classStyle, ink, ownColorStyle } from "./palette.js";
import { type Pictures, picturesOf, pngUri, spriteSheet } from "./picture.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { countText } from "./text.js";

export interface EmbeddingScatterOptions {
  readonly title?: string;
  readonly subtitle?: string;
  /** A class per point: one colour and one legend entry each. */
  readonly labels?: readonly string[];
  /** Colour of each class as CSS, where classes have colours of their own; their marks differ too. */
  readonly colors?: Readonly<Record<string, string>>;
  /** Or a number per point: a colour scale. */
  readonly values?: ArrayLike<number>;
  /** What labels or values are, with unit. */
  readonly colorLabel?: string;
  /** One picture per point, shown under the pointer. */
  readonly pictures?: Pictures;
  /** Float values shown as black and white in `pictures`; default [0, 1]. */
  readonly range?: readonly [number, number];
  /** One text per point, shown under the pointer. */
  readonly texts?: readonly string[];
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** Side of the pictures in the sheet, in pixels; default 32, or 24 above 2 000 points. */
  readonly thumbnail?: number;
}

/**
 * Points of a 2-D embedding, coloured by class or number; the pointer shows a point's picture and text, a
 * click, or the point's number typed, keeps them below the plot.
 * All pictures travel in one PNG.
 * @param points float32 tensor [n, 2]
 * @throws RangeError for another shape, or when labels, values, pictures or texts are not one per point
 */
export function embeddingScatter(points: Tensor, options: EmbeddingScatterOptions = {}): Figure {
  if (points.shape.length !== 2 || points.shape[1] !== 2 || points.dtype !== "float32") {
    throw new RangeError(`embeddingScatter: expected a float32 tensor [n, 2], got ${points}`);
  }
  const n = points.shape[0]!;
  const { title = "Embedding", labels, values, texts, colorLabel, xLabel = "dimension 1", yLabel = "dimension 2" } = options;
  const pictures = options.pictures === undefined ? undefined : picturesOf(options.pictures, options.range);
  for (const [name, series] of Object.entries({ labels, values, pictures, texts })) {
    if (series !== undefined && series.length !== n)
      throw new RangeError(`embeddingScatter: expected ${n} ${name}, one per point, got ${series.length}`);
  }
  const xy = points.data as Float32Array;
  const size = n > 3000 ? 4 : n > 800 ? 5 : 7;
  const trace = (indices: readonly number[], marker: PlotObject, name: string | undefined): Trace => ({
    type: "scatter",
    mode: "markers",
    x: Float32Array.from(indices, (i) => xy[2 * i]!),
    y: Float32Array.from(indices, (i) => xy[2 * i + 1]!),
    marker: { size, opacity: 0.8, line: { width: 0.5, color: "rgba(60,60,60,0.45)" }, ...marker },
    customdata: Int32Array.from(indices),
    ...(texts === undefined ? {} : { text: indices.map((i) => plotText(texts[i]!)) }),
    ...(name === undefined ? { showlegend: false } : { name: plotText(name) }),
    hovertemplate: `${texts === undefined ? "point %{customdata}" : "%{text}"}${
      values === undefined ? "" : `<br>${hoverText(colorLabel ?? "value")} <b>%{marker.color:.4~g}</b>`
    }<extra>${name === undefined ? "" : hoverText(name)}</extra>`,
  });
  const everything = Array.from({ length: n }, (_, i) => i);
  const classes = labels === undefined ? [] : [...new Set(labels)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  let data: Trace[];
  if (labels !== undefined) {
    data = classes.map((name, k) =>
      trace(
        everything.filter((i) => labels[i] === name),
        options.colors?.[name] === undefined ? classStyle(k) : ownColorStyle(k, options.colors[name]),
        name,
      ),
    );
  } else if (values !== undefined) {
    data = [
      trace(
        everything,
        { color: Float32Array.from(values), colorscale: cividis, showscale: true, colorbar: colorBar(colorLabel ?? "value") },
        undefined,
      ),
    ];
  } else data = [trace(everything, { color: ink.main }, undefined)];
  const subtitle =
    options.subtitle ??
    `${countText(n)} points${pictures === undefined ? "" : " · point at one to see its picture, click to keep it"}`;
  return new Figure({
    data,
    layout: {
      ...frame({ title, subtitle, height: 520, margin: { t: 72 } }),
      xaxis: axis(xLabel, { showticklabels: false, ticks: "", showgrid: false }),
      yaxis: axis(yLabel, { showticklabels: false, ticks: "", showgrid: false, scaleanchor: "x" }),
      hovermode: "closest",
      hoverdistance: 12,
      dragmode: "pan",
      legend: { title: { text: plotText(colorLabel ?? "") }, itemsizing: "constant", bgcolor: "rgba(0,0,0,0)" },
      showlegend: classes.length > 0,
    },
    config: { scrollZoom: true },
    behaviour:
      pictures === undefined ? undefined : pictureOnHover(pictures, options.thumbnail ?? (n > 2000 ? 24 : 32), texts ?? []),
    summary: `${title}: ${n} points${classes.length === 0 ? "" : ` in ${classes.length} classes (${classes.slice(0, 12).join(", ")})`}`,
  });
}

// The picture stands in a panel below the plot when it is to stay. Plotly's own hover text stays; the picture stands beside the point, on the side with room.
const hoverScript = `function(el,d){
var tip=document.createElement("div"),side=112,k=side/d.size;
tip.setAttribute("aria-hidden","true");
tip.style.cssText="position:absolute;display:none;pointer-events:none;z-index:10;border-radius:6px;border:2px solid #fff;box-shadow:0 1px 6px rgba(0,0,0,.45);image-rendering:pixelated;background:#888 no-repeat;width:"+side+"px;height:"+side+"px";
tip.style.backgroundImage="url("+d.sheet+")";
tip.style.backgroundSize=d.width*k+"px "+d.height*k+"px";
el.style.position="relative";el.appendChild(tip);
el.on("plotly_hover",function(e){
var p=e.points[0],i=p.customdata;if(i===undefined)return;
tip.style.backgroundPosition=-(i%d.columns)*side+"px "+-Math.floor(i/d.columns)*side+"px";
var x=p.xaxis.l2p(p.x)+p.xaxis._offset,y=p.yaxis.l2p(p.y)+p.yaxis._offset;
tip.style.left=Math.max(0,Math.min(el.clientWidth-side-4,x-side/2))+"px";
tip.style.top=(y>side+24?y-side-20:y+20)+"px";
tip.style.borderColor=(p.fullData.marker.color&&typeof p.fullData.marker.color==="string")?p.fullData.marker.color:"#fff";
tip.setAttribute("data-point",i);
tip.style.display="block";});
el.on("plotly_unhover",function(){tip.style.display="none"});
var pin=document.createElement("div"),big=160;
pin.style.cssText="display:flex;gap:12px;align-items:center;font:13px system-ui,sans-serif;padding:4px 12px";
pin.innerHTML='<div role="img" style="display:none;flex:none;border-radius:6px;image-rendering:pixelated;background:#888 no-repeat"></div><div><label>point <input type="number" min="0" style="width:6em;font:inherit;background:transparent;color:inherit;border:1px solid rgba(128,128,128,.6);border-radius:4px;padding:2px 6px"></label><div role="status" style="margin-top:4px"></div></div>';
var face=pin.firstChild,box=pin.querySelector("input"),said=pin.querySelector("[role=status]");
box.max=d.points-1;face.style.width=face.style.height=big+"px";
face.style.backgroundImage="url("+d.sheet+")";face.style.backgroundSize=d.width/d.size*big+"px "+d.height/d.size*big+"px";
function keep(i){
if(!(i>=0&&i<d.points))return;
face.style.display="block";face.style.backgroundPosition=-(i%d.columns)*big+"px "+-Math.floor(i/d.columns)*big+"px";
box.value=i;var t=d.texts[i]||"";said.textContent=t;face.setAttribute("aria-label","picture of point "+i+(t?": "+t:""));
pin.setAttribute("data-pinned",i);
var at=null;el.calcdata.forEach(function(c){c.forEach(function(p,k){if(c[0].trace.customdata[k]===i)at=p})});
if(at)Plotly.relayout(el,{shapes:[{type:"circle",xref:"x",yref:"y",xsizemode:"pixel",ysizemode:"pixel",xanchor:at.x,yanchor:at.y,x0:-9,x1:9,y0:-9,y1:9,line:{width:2.5,color:"#D55E00"}}]})}
el.on("plotly_click",function(e){var i=e.points[0].customdata;if(i!==undefined)keep(i)});
box.addEventListener("input",function(){if(box.value!=="")keep(+box.value)});
el.parentNode.appendChild(pin);
}`;

function pictureOnHover(pictures: ReturnType<typeof picturesOf>, size: number, texts: readonly string[]): Behaviour {
  const { sheet, columns } = spriteSheet(pictures, size);
  const { width, height } = sheet;
  return { script: hoverScript, data: { sheet: pngUri(sheet), columns, size, width, height, points: pictures.length, texts } };
}
