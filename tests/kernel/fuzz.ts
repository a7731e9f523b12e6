import type { Rng } from "../../lib/tensor/index.js";

const STRANGE: readonly unknown[] = [
  null,
  true,
  -1,
  1e308,
  "",
  "\u0000\ud800",
  [],
  {},
  [[[[]]]],
  { toString: 1 },
  "x".repeat(100_000),
];

/** The value with some of its parts replaced by what nobody expects there, or taken away. */
export function mutatedValue(value: Readonly<Record<string, unknown>>, rng: Rng): Record<string, unknown> {
  const entries = Object.entries(value).filter(() => rng.uniform() < 0.9);
  return Object.fromEntries(entries.map(([key, part]) => [key, rng.uniform() < 0.5 ? part : STRANGE[rng.int(STRANGE.length)]]));
}

/** The frames with bytes changed, cut, doubled, left out or in another order. */
export function mutatedFrames(frames: readonly string[], rng: Rng): Uint8Array[] {
  const mutated = frames.map((frame) => Buffer.from(frame));
  for (let count = 1 + rng.int(3); count > 0; count--) {
    const at = rng.int(mutated.length);
    const frame = mutated[at]!;
    const mutations: (() => void)[] = [
      () => void frame.fill(rng.int(256), rng.int(frame.length + 1)),
      () => void mutated.splice(at, 1, frame.subarray(0, rng.int(frame.length + 1))),
      () => void mutated.splice(at, 0, frame),
      () => void (mutated.length > 1 && mutated.splice(at, 1)),
      () => void mutated.push(...mutated.splice(at, 1)),
    ];
    mutations[rng.int(mutations.length)]!();
  }
  return mutated;
}
