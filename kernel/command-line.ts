import { parseArgs } from "node:util";
import { nearestNames } from "../lib/runtime/feeds.js";

/** What `tweedie` tells the shell. */
export const EXIT = { ok: 0, failed: 1, usage: 2, timeout: 3, interrupted: 130 } as const;

/** Wrong use of the command line; its message is all that the user needs. */
export class UsageError extends Error {}

/** One option: a switch, or with `value` something that takes one. */
export interface Option {
  readonly short?: string;
  /** What stands behind it in help, for instance `<folder>`. */
  readonly value?: string;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  readonly default?: string;
  readonly multiple?: true;
  readonly help: string;
}

type Options = Readonly<Record<string, Option>>;

type Value<O extends Option> = O extends { multiple: true }
  ? readonly string[]
  : O extends { value: string }
    ? O extends { default: string }
      ? string
      : string | undefined
    : boolean;

/** What the user wrote behind a command. */
export interface Arguments<O extends Options> {
  readonly values: { readonly [K in keyof O]: Value<O[K]> };
  readonly positionals: readonly string[];
}

interface Description<O extends Options> {
  readonly name: string;
  readonly summary: string;
  /** What it takes besides options, as help shows it. */
  readonly operands: string;
  /** How many of them it takes at most; any number without. */
  readonly most?: number;
  /** The first operands that it takes, where they are words to choose from. */
  readonly choices?: readonly string[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly about: string;
  readonly options: O;
}

/** One command of `tweedie`. Parsing, help and tab completion all come from its description. */
export interface Command extends Description<Options> {
  /** @returns the exit code
   * @throws UsageError for arguments that it does not take */
  execute(args: readonly string[]): Promise<number>;
}

/** Makes a command of its description and of what it does. */
export function command<const O extends Options>(
  description: Description<O> & { run(args: Arguments<O>): Promise<number> | number },
): Command {
  const { run, ...rest } = description;
  return { ...rest, execute: async (args) => run(parse(rest, args)) };
}

function parse<O extends Options>(
  { name, options, operands, most = Infinity }: Description<O>,
  args: readonly string[],
): Arguments<O> {
  const config = Object.fromEntries(
    Object.entries(options).map(([long, { short, value, multiple, default: fallback }]) => {
      const start = multiple ? [] : value === undefined ? false : fallback;
      const type = value === undefined ? ("boolean" as const) : ("string" as const);
      return [
        long,
        { type, ...(short && { short }), ...(multiple && { multiple }), ...(start !== undefined && { default: start }) },
      ];
    }),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: true });
  } catch (error) {
    throw new UsageError(explain(error as NodeJS.ErrnoException, name, options));
  }
  for (const [long, { choices }] of Object.entries(options)) {
    const got = parsed.values[long];
    if (choices && typeof got === "string" && !choices.includes(got))
      throw new UsageError(`${name}: expected --${long} ${choices.join(", ")}, got ${got}${didYouMean(got, choices)}`);
  }
  const { positionals } = parsed;
  if (positionals.length > most) {
    const expected = most === 0 ? "options only" : `no more than ${operands}`;
    throw new UsageError(`${name}: expected ${expected}, got ${positionals.join(" ")}`);
  }
  return parsed as unknown as Arguments<O>;
}

function explain(error: NodeJS.ErrnoException, name: string, options: Options): string {
  const option = /'(--?[^' ,]*)/.exec(error.message)?.[1] ?? "";
  if (error.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") {
    const hint = didYouMean(
      option,
      Object.keys(options).map((long) => `--${long}`),
    );
    return `${name}: there is no option ${option}${hint}; tweedie ${name} --help lists them`;
  }
  const long = /--([\w-]+)/.exec(error.message)?.[1] ?? "";
  const value = options[long]?.value;
  return value === undefined
    ? `${name}: --${long} takes no value; tweedie ${name} --help tells more`
    : `${name}: expected --${long} ${value}; a value that begins with a dash is written --${long}=<value>`;
}

/** The number that an option holds, in its unit.
 * @throws UsageError unless it is above zero, and whole where it must be */
export function positive(text: string, what: string, { whole = false }: { readonly whole?: boolean } = {}): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0) || !Number.isFinite(value) || (whole && !Number.isInteger(value)))
    throw new UsageError(`expected ${what}, got ${text}`);
  return value;
}

/** `; did you mean …?` with the word that was probably meant, or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const begun = word.length > 2 ? known.find((name) => name.startsWith(word)) : undefined;
  const best = begun ?? nearestNames(word, known)[0];
  return best === undefined ? "" : `; did you mean ${best}?`;
}

const WIDTH = 110;

/** Help of one command: what one does with it first, then everything it can. */
export function helpOf(of: Command): string {
  const usage = ["Usage: tweedie", of.name, of.operands, Object.keys(of.options).length > 0 ? "[options]" : ""];
  const options: [string, string][] = Object.entries(of.options).map(([long, { short, value, help, default: fallback }]) => [
    `${short ? `-${short}, ` : "    "}--${long}${value === undefined ? "" : ` ${value}`}`,
    fallback === undefined ? help : `${help} (default: ${fallback})`,
  ]);
  options.push(["-h, --help", "this text"]);
  return [
    `tweedie ${of.name}: ${of.summary}`,
    `Examples\n${columns(of.examples)}`,
    usage.filter(Boolean).join(" "),
    paragraphs(of.about),
    `Options\n${columns(options)}`,
    "",
  ].join("\n\n");
}

/** Two columns, the second wrapped. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(46, Math.max(...rows.map(([name]) => name.length)) + 2);
  return rows
    .map(([name, text]) => {
      const lines = wrap(text, WIDTH - left - 2).join(`\n${" ".repeat(left + 2)}`);
      return name.length + 2 > left ? `  ${name}\n${" ".repeat(left + 2)}${lines}` : `  ${name.padEnd(left)}${lines}`;
    })
    .join("\n");
}

/** Text wrapped; what is laid out already stays as it is. */
function paragraphs(text: string): string {
  return text
    .split("\n\n")
    .map((paragraph) => (/ {2}/.test(paragraph) ? paragraph : wrap(paragraph.replaceAll("\n", " "), WIDTH).join("\n")))
    .join("\n\n");
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** Prints text with a line's end behind it. */
export function say(text: string): number {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return EXIT.ok;
}
