import { inspect } from "node:util";
import type { MimeBundle } from "./messages.js";

/** What a magic can do to the engine it runs in. */
export interface MagicHost {
  print(text: string): void;
  show(data: MimeBundle): void;
  /** Names and values of the variables of all cells. */
  variables(): readonly (readonly [name: string, value: unknown])[];
  /** Forgets them. */
  reset(): void;
  /** Limits the running cell, or with `always` that and all later ones; undefined takes the limit away. */
  limit(ms: number | undefined, always: boolean): void;
}

interface MagicCall {
  /** What stands behind the name. */
  readonly argument: string;
  /** Whether there is nothing else in the cell. */
  readonly alone: boolean;
  /** For `%%magics`, the lines below. */
  readonly body: string;
}

/** What the process had used at some moment. */
export interface Usage {
  readonly atMs: number;
  readonly cpu: NodeJS.CpuUsage;
  readonly memory: NodeJS.MemoryUsage;
}

interface Magic {
  readonly help: string;
  /** Done before the cell's code is compiled. */
  before?(host: MagicHost, call: MagicCall): void;
  /** Done when the cell's code has run to its end. */
  after?(host: MagicHost, since: Usage): void;
}

const time: Magic = {
  help: "%time [code]           how long the cell takes",
  after: (host, since) => {
    const { user, system } = process.cpuUsage(since.cpu);
    const wallMs = performance.now() - since.atMs;
    host.print(`time ${duration(wallMs)}, on processors ${duration((user + system) / 1000)}\n`);
  },
};

const MAGICS: Readonly<Record<string, Magic>> = {
  "%time": time,
  "%%time": time,
  "%memory": {
    help: "%memory                memory of the kernel, and what the cell added to it",
    after: (host, since) => {
      const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
      const grown = rss - since.memory.rss;
      host.print(
        `memory ${megabytes(rss)} (${grown < 0 ? "" : "+"}${megabytes(grown)} in this cell), objects ${megabytes(heapUsed)}, typed arrays ${megabytes(arrayBuffers)}\n`,
      );
    },
  },
  "%who": {
    help: "%who                   the variables of all cells",
    after: (host) => {
      const rows = host.variables().map(([name, value]) => [name, kindOf(value), summary(value)] as const);
      if (rows.length === 0) return host.print("no variables yet\n");
      const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
      host.print(rows.map(([name, kind, text]) => `${name.padEnd(widths[0]!)}  ${kind.padEnd(widths[1]!)}  ${text}\n`).join(""));
    },
  },
  "%reset": {
    help: "%reset                 forgets all variables",
    before: (host) => {
      const count = host.variables().length;
      host.reset();
      host.print(`${count} ${count === 1 ? "variable" : "variables"} forgotten; local files are read anew when imported\n`);
    },
  },
  "%timeout": {
    help: "%timeout <30s|5m|off>  limit for this cell; alone in its cell, for all cells from now on",
    before: (host, { argument, alone }) => {
      const ms = parseDuration(argument);
      host.limit(ms, alone);
      if (alone) host.print(ms === undefined ? "cells may run for ever\n" : `cells are interrupted after ${duration(ms)}\n`);
    },
  },
  "%load_ext": {
    help: "%load_ext              not needed: what a notebook uses, it imports",
    before: (host, { argument }) =>
      host.print(
        `%load_ext ${argument} is not needed: nothing is loaded into this kernel, cells import what they use, for instance import { load } from "tweedie";\n`,
      ),
  },
  "%magics": {
    help: "%magics                this list",
    before: (host) => host.print(magicsHelp()),
  },
  "%%js": page("%%js                   runs the cell in the page", "application/javascript"),
  "%%html": page("%%html                 shows the cell as HTML", "text/html"),
  "%%markdown": page("%%markdown             shows the cell as Markdown", "text/markdown"),
};

export const MAGIC_NAMES: readonly string[] = Object.keys(MAGICS);

export function magicsHelp(): string {
  return `${[...new Set(Object.values(MAGICS).map(({ help }) => help))].join("\n")}\n`;
}

/** A `%name` that is no magic. */
export class UnknownMagicError extends Error {
  override readonly name = "UnknownMagic";

  constructor(magic: string, near: readonly string[]) {
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `there are ${MAGIC_NAMES.join(", ")}.`;
    super(`there is no magic ${magic}; ${hint} %magics says what they do`);
  }
}

/** A cell's magics, which stand in its first lines, and its TypeScript. */
export interface MagicCell {
  readonly magics: readonly { readonly name: string; readonly argument: string }[];
  /** The code with blanks for the magics, so that everything else is where it was. */
  readonly code: string;
  /** Set if the cell is no TypeScript: all lines below its `%%magic`. */
  readonly body?: string;
}

/** Takes the magics off a cell. What looks like one further down is the remainder operator. */
export function parseMagics(code: string): MagicCell {
  const lines = code.split("\n");
  const magics: { name: string; argument: string }[] = [];
  for (const [index, line] of lines.entries()) {
    const [, name, argument] = /^\s*(%%?[A-Za-z_]\w*)(?:\s+(.*))?$/.exec(line) ?? [];
    if (name === undefined) {
      if (/^\s*(\/\/.*)?$/.test(line)) continue;
      break;
    }
    magics.push({ name, argument: (argument ?? "").trim() });
    const isCode = MAGICS[name] === time;
    if (name.startsWith("%%") && !isCode) return { magics, code: "", body: lines.slice(index + 1).join("\n") };
    lines[index] = isCode ? line.replace(name, " ".repeat(name.length)) : "";
  }
  return magics.length === 0 ? { magics, code } : { magics, code: lines.join("\n") };
}

/** Does what a cell's magics say is to be done before its code.
 * @returns what is to be done after it
 * @throws UnknownMagicError
 * @throws RangeError for an argument that a magic does not understand */
export async function runMagics({ magics, code, body = "" }: MagicCell, host: MagicHost): Promise<(since: Usage) => void> {
  const unknown = magics.find(({ name }) => !(name in MAGICS));
  if (unknown) {
    const { nearestNames } = await import("../lib/runtime/feeds.js");
    throw new UnknownMagicError(unknown.name, nearestNames(unknown.name, MAGIC_NAMES));
  }
  const alone = magics.length === 1 && code.trim() === "";
  for (const { name, argument } of magics) MAGICS[name]!.before?.(host, { argument, alone, body });
  return (since) => {
    for (const { name } of magics) MAGICS[name]!.after?.(host, since);
  };
}

export function usage(): Usage {
  return { atMs: performance.now(), cpu: process.cpuUsage(), memory: process.memoryUsage() };
}

function page(help: string, type: string): Magic {
  return { help, before: (host, { body }) => host.show({ [type]: body, "text/plain": body }) };
}

/** Milliseconds of `30s`, `500ms`, `5m`, `2h`, `30` (seconds); undefined for `off`. */
function parseDuration(text: string): number | undefined {
  if (text === "off") return undefined;
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(number) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit as "ms" | "s" | "m" | "h"];
  // The longest that timers can wait.
  if (ms > 0 && ms < 2 ** 31) return ms;
  throw new RangeError(`%timeout: expected a time such as 30s, 5m or off, got ${JSON.stringify(text)}`);
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Number(ms.toPrecision(3))} ms`;
  return ms < 60_000
    ? `${Number((ms / 1_000).toPrecision(3))} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms / 1_000) % 60)} s`;
}

function megabytes(bytes: number): string {
  return `${Number((bytes / 1e6).toPrecision(3))} MB`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "function") return /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "function";
  if (typeof value !== "object") return typeof value;
  const made = (Object.getPrototypeOf(value) as { constructor?: unknown } | null)?.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "object";
}

function summary(value: unknown): string {
  const text = inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 5, maxStringLength: 50 });
  return text.length > 60 ? `${text.slice(0, 59)}…` : text.replaceAll("\n", " ");
}
