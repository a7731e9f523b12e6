import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32, type Tensor, writeSafetensors } from "../../lib/tensor/index.js";
import type { StepFeeds } from "../../lib/train/index.js";

/** Threads of ours and of the peer. */
export const threads = 2;

/** What one turn takes: milliseconds on the clock, and of processors' time, all threads together. */
export interface Turn {
  readonly ms: number;
  readonly cpuMs: number;
}

/** One line of the table: what we take, and what somebody else takes for the same. */
export interface Measurement {
  readonly name: string;
  /** Median milliseconds. */
  readonly ours: number;
  /** Who else did it. */
  readonly against?: string;
  /** Median milliseconds. */
  readonly peer?: number;
  /** ours / peer, the median over rounds in which both took their turn. */
  readonly ratio?: number;
  /** The same of processors' time, which other work on the machine disturbs less. */
  readonly cpuRatio?: number;
  /** What we want the ratio to be at most. */
  readonly wanted?: number;
  readonly note?: string;
}

/** Something measured: `npm run bench -- name` runs it alone. */
export interface Bench {
  readonly name: string;
  run(): Promise<readonly Measurement[]>;
}

/** Lets contestants do the same work in turns, so that what else the machine does weighs on all of them. */
export async function inTurns<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, () => Promise<Turn>>>,
): Promise<Record<Name, readonly Turn[]>> {
  const names = Object.keys(contestants) as Name[];
  const turns = Object.fromEntries(names.map((name) => [name, [] as Turn[]])) as Record<Name, Turn[]>;
  for (let round = 0; round < rounds; round++) for (const name of names) turns[name].push(await contestants[name]());
  return turns;
}

/** Ratios of two contestants' times, round by round; without a peer our times alone. */
export function compared(
  ours: readonly Turn[],
  peer?: readonly Turn[],
): Pick<Measurement, "ours" | "peer" | "ratio" | "cpuRatio"> {
  const milliseconds = (turns: readonly Turn[]): number => median(turns.map((turn) => turn.ms));
  if (peer === undefined) return { ours: milliseconds(ours) };
  return {
    ours: milliseconds(ours),
    peer: milliseconds(peer),
    ratio: median(ours.map(({ ms }, i) => ms / peer[i]!.ms)),
    cpuRatio: median(ours.map(({ cpuMs }, i) => cpuMs / peer[i]!.cpuMs)),
  };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Times `work` in this process, as `steps` equal parts. */
export async function timed(work: () => unknown, steps = 1): Promise<Turn> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { ms: (performance.now() - started) / steps, cpuMs: (user + system) / 1000 / steps };
}

/** @throws Error if the two did not compute the same: their times must not be compared then */
export function requireAgreement(what: string, ours: readonly number[], theirs: readonly number[], tolerance: number): void {
  const agree =
    ours.length === theirs.length && ours.every((x, i) => Math.abs(x - theirs[i]!) <= tolerance * Math.abs(theirs[i]!));
  const text = (values: readonly number[]): string => values.map((x) => x.toPrecision(7)).join(" ");
  if (!agree) throw new Error(`${what} differ by more than ${tolerance}: ours ${text(ours)}; theirs ${text(theirs)}`);
  console.log(`  ${what} agree within ${tolerance}: ${text(ours)}; theirs ${text(theirs)}`);
}

/** Runs `body` with the path of a safetensors file of `tensors`, removed afterwards. */
export async function withTensorFile<T>(
  tensors: Readonly<Record<string, Tensor>>,
  body: (path: string) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const path = join(folder, "start.safetensors");
    await writeSafetensors(path, tensors);
    return body(path);
  });
}

/** Weights as peers read them: `weight/…`. */
export function weightTensors(weights: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(weights).map(([name, weight]) => [`weight/${name}`, weight]));
}

/** Each feed of several steps as one tensor [step, …]. */
export function stackedFeeds(feeds: readonly StepFeeds[]): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds[0]!).map(([name, { shape, size }]) => {
      const data = new Float32Array(feeds.length * size);
      feeds.forEach((feed, i) => {
        data.set(feed[name]!.data as Float32Array, i * size);
      });
      return [name, float32(data, [feeds.length, ...shape])];
    }),
  );
}

/** Runs `body` with a temporary folder, removed afterwards. */
export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "tweedie-bench-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
