import { philox4x32 } from "./philox.js";

/** Words computed at a time. */
const chunk = 256;

/** Where a stream stands: plain JSON, for manifests and checkpoints. */
export interface RngState {
  readonly algorithm: "philox4x32-10";
  /** The stream's 64-bit key as two words. */
  readonly key: readonly [number, number];
  /** 32-bit words drawn so far. */
  readonly position: number;
}

/**
 * A seeded stream of random numbers, the only source of chance in the library. The same seed gives the same stream
 * on every run; `fork` gives independent streams, whatever was drawn from the parent before.
 * @see Salmon et al. 2011, doi:10.1145/2063384.2063405 (Philox4x32-10)
 */
export class Rng {
  readonly #key: readonly [number, number];
  #position: number;
  readonly #words = new Uint32Array(chunk);
  /** Position of the first word in #words; NaN while none are computed. */
  #start = Number.NaN;

  /**
   * @param seed a whole number or several, or the `state()` of a stream to continue
   * @throws RangeError on a seed that is not made of whole numbers
   */
  constructor(seed: number | readonly number[] | RngState) {
    if (isState(seed)) {
      this.#key = [seed.key[0] >>> 0, seed.key[1] >>> 0];
      this.#position = seed.position;
      return;
    }
    const seeds = typeof seed === "number" ? [seed] : seed;
    if (!Array.isArray(seeds) || seeds.length === 0 || !seeds.every(Number.isSafeInteger)) {
      throw new RangeError(`Rng: a seed is one or more whole numbers, got ${JSON.stringify(seed)}; round it or list its parts`);
    }
    this.#key = absorb([seeds.length, 0], seeds.flatMap(wordsOf));
    this.#position = 0;
  }

  /** The stream that continues where `state()` was taken. @throws TypeError if `state` is not such a value */
  static restore(state: RngState): Rng {
    if (!isState(state)) throw new TypeError(`Rng.restore: expected the value of state(), got ${JSON.stringify(state)}`);
    return new Rng(state);
  }

  state(): RngState {
    return { algorithm: "philox4x32-10", key: this.#key, position: this.#position };
  }

  /** An independent stream named by `label`; it depends on the seed and the label, not on what was drawn. */
  fork(label: string | number): Rng {
    const words = typeof label === "number" ? [1, ...wordsOf(label)] : [2, ...Array.from(label, (c) => c.codePointAt(0)!)];
    return new Rng({ algorithm: "philox4x32-10", key: absorb(this.#key, words), position: 0 });
  }

  /** 32 random bits, 0…2³²−1. */
  uint32(): number {
    const offset = this.#position - this.#start;
    if (offset >= 0 && offset < chunk) {
      this.#position++;
      return this.#words[offset]!;
    }
    this.#start = this.#position - (this.#position % chunk);
    const [low, high] = wordsOf(this.#start / 4);
    philox4x32(this.#words, this.#key, [low, high, 0, 0]);
    return this.#words[this.#position++ - this.#start]!;
  }

  /** Uniform in [0, 1), 53 random bits. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    return (high * 0x4000000 + (this.uint32() >>> 6)) * 2 ** -53;
  }

  /** A whole number 0…n−1, each equally likely. @throws RangeError if n is outside 1…2³² */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 0x100000000) throw new RangeError(`Rng.int: n must be 1…2^32, got ${n}`);
    const fair = 0x100000000 - (0x100000000 % n);
    for (;;) {
      const word = this.uint32();
      if (word < fair) return word % n;
    }
  }

  /**
   * One draw from N(0, 1) at float32 resolution.
   * @see Marsaglia & Tsang 2000, "The ziggurat method for generating random variables", doi:10.18637/jss.v005.i08
   */
  normal(): number {
    const word = this.uint32();
    const layer = word & 255;
    // The other 24 bits: a signed coordinate, centred so that ±x are equally likely.
    const coordinate = (word >> 8) + 0.5;
    if (Math.abs(coordinate) < ziggurat.inside[layer]!) return coordinate * ziggurat.width[layer]!;
    return this.#normalNearEdge(layer, coordinate);
  }

  /** A point that may lie outside the density: in the tail, or in a layer's wedge, where it is kept or drawn again. */
  #normalNearEdge(layer: number, coordinate: number): number {
    if (layer === 0) return this.#normalTail(coordinate < 0);
    const x = coordinate * ziggurat.width[layer]!;
    const below = ziggurat.height[layer]!;
    const y = below + this.uniform() * (ziggurat.height[layer + 1]! - below);
    return y < Math.exp(-0.5 * x * x) ? x : this.normal();
  }

  #normalTail(negative: boolean): number {
    for (;;) {
      const x = -Math.log(1 - this.uniform()) / tailStart;
      if (-2 * Math.log(1 - this.uniform()) > x * x) return negative ? -tailStart - x : tailStart + x;
    }
  }

  /** `n` draws from N(0, 1). */
  normals(n: number): Float32Array {
    const out = new Float32Array(n);
    const { width, inside } = ziggurat;
    for (let i = 0; i < n; i++) {
      // The first test of normal(), spelled out for speed: 98.8 % of draws end here.
      const word = this.uint32();
      const layer = word & 255;
      const coordinate = (word >> 8) + 0.5;
      if (Math.abs(coordinate) < inside[layer]!) out[i] = coordinate * width[layer]!;
      else out[i] = this.#normalNearEdge(layer, coordinate);
    }
    return out;
  }

  /** The numbers 0…n−1 in random order (Fisher–Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return order;
  }

  /** One of `items`, each equally likely. @throws RangeError if there are none */
  choice<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("Rng.choice: there is nothing to choose from; pass at least one item");
    return items[this.int(items.length)]!;
  }
}

function isState(value: unknown): value is RngState {
  const { algorithm, key, position } = (value ?? {}) as Partial<RngState>;
  return (
    algorithm === "philox4x32-10" &&
    Array.isArray(key) &&
    key.length === 2 &&
    key.every(Number.isInteger) &&
    Number.isSafeInteger(position) &&
    position! >= 0
  );
}

/** A whole number as two 32-bit words, two's complement. */
function wordsOf(n: number): [number, number] {
  return [n >>> 0, Math.floor(n / 0x100000000) >>> 0];
}

const hashDomain = 0x7477;

/** Hashes words into a key, one Philox block each; the high counter words keep it apart from every stream's draws. */
function absorb(key: readonly [number, number], words: readonly number[]): [number, number] {
  const block = new Uint32Array(4);
  let hashed: [number, number] = [key[0], key[1]];
  words.forEach((word, i) => {
    philox4x32(block, hashed, [word >>> 0, 0, i + 1, hashDomain]);
    hashed = [block[0]!, block[1]!];
  });
  return hashed;
}

/** Where the tail begins and the area of each of the 256 layers under exp(−x²/2), x ≥ 0. */
const tailStart = 3.6541528853610088;
const layerArea = 0.00492867323399;
const ziggurat = zigguratTables();

/** Layer 0 is the base strip with the tail; layer i reaches x[i] at height exp(−x[i]²/2). */
function zigguratTables(): { width: Float64Array; inside: Float64Array; height: Float64Array } {
  const density = (x: number): number => Math.exp(-0.5 * x * x);
  const x = new Float64Array(257);
  x[0] = layerArea / density(tailStart);
  x[1] = tailStart;
  for (let i = 2; i < 256; i++) x[i] = Math.sqrt(-2 * Math.log(layerArea / x[i - 1]! + density(x[i - 1]!)));
  return {
    width: x.map((edge) => edge / 2 ** 23),
    inside: x.map((edge, i) => (i < 256 ? (x[i + 1]! / edge) * 2 ** 23 : 0)),
    height: x.map((edge, i) => (i === 0 ? 0 : density(edge))),
  };
}
