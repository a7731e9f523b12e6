import { types } from "node:util";
import { arraySummary, isTensor, typedArraySummary } from "../figures/array-summary.js";
import { type Displayable, jupyterDisplay, type MimeBundle } from "../figures/document.js";
import { type Picture, pngUri } from "../figures/picture.js";
import { type ColumnSource, table } from "../figures/table.js";
import { countText } from "../figures/text.js";
import { countNodes, isContainer, keyText, objectTree, printed } from "./object-tree.js";
import { gridSize, resultGrid } from "./result-grid.js";

/** Longer texts are cut, with a note of how much. */
const longestText = 20_000;
/** Of a table's text. */
const textRows = 200;
/** An object of more properties than that is no record, and is printed in part. */
const mostFields = 1_000;
/** Text of more nested values than that is printed less deep. */
const mostNodes = 3_000;

/**
 * The formats in which a value shows itself. What has no `Symbol.for("Jupyter.display")` is shown by what it is: tensors and
 * typed arrays summarized, pictures drawn, tables (and arrays of flat records) as tables, collections of results as grids,
 * nested objects as trees; everything as the text that Node prints.
 */
export function bundleOf(value: unknown): MimeBundle | Promise<MimeBundle> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null || types.isProxy(value))
    return { "text/plain": textOf(value) };
  const own = ownBundle(value) ?? gridOf(value);
  if (own) return own;
  const text = textOf(value);
  return { ...markup(value, text), "text/plain": text };
}

/** Of values that are a result by themselves. */
function ownBundle(value: object): MimeBundle | Promise<MimeBundle> | undefined {
  if (typeof (value as Partial<Displayable>)[jupyterDisplay] === "function") return (value as Displayable)[jupyterDisplay]();
  if (isTable(value)) return table(value, { textRows, digits: 5 })[jupyterDisplay]();
  if (isTensor(value)) return arraySummary(value)[jupyterDisplay]();
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return typedArraySummary(value as unknown as Float32Array)[jupyterDisplay]();
  if (isPicture(value)) return pictureBundle(value);
  return undefined;
}

/** A collection of which every member is a result. */
function gridOf(value: object): Promise<MimeBundle> | undefined {
  const [names, members] = membersOf(value);
  if (members.length === 0) return undefined;
  const shown = members.slice(0, gridSize(members.length));
  if (!shown.every((member) => typeof member === "object" && member !== null && isResult(member))) return undefined;
  return Promise.all(shown.map((member) => ownBundle(member as object)!)).then((bundles) =>
    resultGrid(names, bundles, members.length),
  );
}

function isResult(value: object): boolean {
  return (
    typeof (value as Partial<Displayable>)[jupyterDisplay] === "function" || isTable(value) || isTensor(value) || isPicture(value)
  );
}

function membersOf(value: object): readonly [names: readonly string[], members: readonly unknown[]] {
  if (Array.isArray(value)) return [value.map((_, i) => String(i)), value];
  if (value instanceof Set) return [Array.from(value, (_, i) => String(i)), [...value]];
  if (value instanceof Map) return [Array.from(value.keys(), keyText), [...value.values()]];
  const fields = fieldsOf(value);
  return fields ? [Object.keys(fields), Object.values(fields)] : [[], []];
}

/** The fields of a plain object, of which none has to be computed. */
function fieldsOf(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== "object" || value === null || types.isProxy(value)) return undefined;
  const prototype = Object.getPrototypeOf(value);
  if ((prototype !== null && Object.getPrototypeOf(prototype) !== null) || Object.keys(value).length > mostFields)
    return undefined;
  const computed = Object.values(Object.getOwnPropertyDescriptors(value)).some(({ get }) => get !== undefined);
  return computed ? undefined : (value as Record<string, unknown>);
}

/** HTML where text alone is hard to read. */
function markup(value: object, text: string): MimeBundle {
  const records = recordsOf(value);
  if (records) return { "text/html": table(records, { digits: 5 }).html };
  if (!isContainer(value)) return {};
  return /\n|\[(Object|Array|Map|Set|\w+)\]/.test(text) ? { "text/html": objectTree(value) } : {};
}

/** Columns of an array of flat records that have the same keys. */
function recordsOf(value: object): Record<string, (string | number | boolean | bigint | null | undefined)[]> | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined;
  const keys = isFlat(value[0]) ? Object.keys(value[0]) : [];
  const same = (record: unknown): boolean => isFlat(record) && Object.keys(record).join("\n") === keys.join("\n");
  if (keys.length === 0 || !value.every(same)) return undefined;
  return Object.fromEntries(keys.map((key) => [key, value.map((record) => record[key])]));
}

function isFlat(value: unknown): value is Record<string, string> {
  const fields = fieldsOf(value);
  return fields !== undefined && Object.values(fields).every((field) => field === null || !/object|function/.test(typeof field));
}

function isTable(value: object): value is ColumnSource {
  const { columnNames, array } = value as Partial<ColumnSource>;
  return typeof columnNames === "function" && typeof array === "function";
}

function isPicture(value: object): value is Picture {
  const { pixels, width, height, channels } = value as Partial<Picture>;
  return pixels instanceof Uint8Array && pixels.length > 0 && pixels.length === width! * height! * channels!;
}

function pictureBundle(picture: Picture): MimeBundle {
  const { width, height, channels } = picture;
  const text = `picture of ${width}×${height} pixels, ${channels} channels`;
  const zoom = Math.max(1, Math.floor(128 / Math.max(width, height)));
  const style = zoom > 1 ? "image-rendering:pixelated" : "max-width:100%";
  return {
    "text/html": `<img alt="${text}" src="${pngUri(picture)}" width="${width * zoom}" style="${style}">`,
    "text/plain": text,
  };
}

function textOf(value: unknown): string {
  const depth = countNodes(value, 4, mostNodes) < mostNodes ? 3 : 1;
  const text = printed(shallow(value), { depth, maxArrayLength: 60, maxStringLength: 10_000 });
  const cut = text.length - longestText;
  return cut <= 0 ? text : `${text.slice(0, longestText)}\n… ${countText(cut)} more characters`;
}

/** An object of very many properties without most of them: printing them all would take minutes. */
function shallow(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return value;
  const keys = Object.keys(value);
  if (keys.length <= mostFields) return value;
  const first = Object.fromEntries(keys.slice(0, 60).map((key) => [key, (value as Record<string, unknown>)[key]]));
  return { ...first, "…": `${countText(keys.length - 60)} more properties` };
}
