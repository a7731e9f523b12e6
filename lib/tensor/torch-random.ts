import { sizeOf, Tensor } from "./tensor.js";

const twoPi = Math.fround(2 * Math.PI);

/**
 * PyTorch's CPU generator: the noise of `torch.Generator().manual_seed(seed)`, draw after draw, to float32 rounding.
 * Use it where a run must start from the same noise as a Python run; use `Rng` for everything else.
 * @see Matsumoto & Nishimura 1998, doi:10.1145/272991.272995 (MT19937); Box & Muller 1958, doi:10.1214/aoms/1177706645
 */
export class TorchGenerator {
  readonly #state = new Uint32Array(624);
  #next = 624;
  /** The second of a Box–Muller pair, kept by torch between scalar draws. */
  #spare: number | undefined;

  /** @param seed whole number; torch uses its low 32 bits */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`TorchGenerator: a seed is a whole number, got ${seed}`);
    const s = this.#state;
    s[0] = seed >>> 0;
    for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1]! ^ (s[i - 1]! >>> 30)) + i;
  }

  /** `torch.randn(shape)`: the next draws from N(0, 1). */
  randn(shape: readonly number[]): Tensor<"float32"> {
    const values = new Float32Array(sizeOf(shape));
    if (values.length < 16) for (let i = 0; i < values.length; i++) values[i] = this.#scalarNormal();
    else this.#fillNormal(values);
    return new Tensor("float32", values, shape);
  }

  /** `n` draws from N(0, 1), as `randn([n])`. */
  normals(n: number): Float32Array {
    return this.randn([n]).data;
  }

  /** `torch.rand(shape)`: uniform in [0, 1), 24 random bits. */
  rand(shape: readonly number[]): Tensor<"float32"> {
    const values = new Float32Array(sizeOf(shape));
    for (let i = 0; i < values.length; i++) values[i] = this.#uniform24();
    return new Tensor("float32", values, shape);
  }

  /** `torch.randint(low, high, shape)`: whole numbers low…high−1. @throws RangeError if the range is empty or above 2³² */
  randint(low: number, high: number, shape: readonly number[]): Tensor<"int64"> {
    const range = high - low;
    if (!(range >= 1 && range < 0x100000000)) {
      throw new RangeError(`TorchGenerator.randint: needs low < high, less than 2^32 apart, got ${low} and ${high}`);
    }
    const values = new BigInt64Array(sizeOf(shape));
    for (let i = 0; i < values.length; i++) values[i] = BigInt(low + (this.#word() % range));
    return new Tensor("int64", values, shape);
  }

  /** `torch.randperm(n)`: the numbers 0…n−1 in random order. */
  randperm(n: number): Tensor<"int64"> {
    const order = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
    for (let i = 0; i < n - 1; i++) {
      const j = i + (this.#word() % (n - i));
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return new Tensor("int64", order, [n]);
  }

  /** torch fills 16 or more values with uniforms and turns each group of 16 into normals, 8 radii and 8 angles. */
  #fillNormal(values: Float32Array): void {
    for (let i = 0; i < values.length; i++) values[i] = this.#uniform24();
    for (let start = 0; start + 16 <= values.length; start += 16) boxMuller16(values, start);
    if (values.length % 16 === 0) return;
    // A ragged end: the last 16 values are drawn anew.
    const start = values.length - 16;
    for (let i = start; i < values.length; i++) values[i] = this.#uniform24();
    boxMuller16(values, start);
  }

  #scalarNormal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    const angle = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  #uniform24(): number {
    return (this.#word() & 0xffffff) * 2 ** -24;
  }

  #uniform53(): number {
    const high = this.#word() & 0x1fffff;
    return (high * 0x100000000 + this.#word()) * 2 ** -53;
  }

  #word(): number {
    if (this.#next === 624) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const s = this.#state;
    for (let i = 0; i < 624; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % 624]! & 0x7fffffff);
      s[i] = s[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

/** Turns 16 uniforms into normals in place, rounding to float32 where torch does. */
function boxMuller16(values: Float32Array, start: number): void {
  for (let i = start; i < start + 8; i++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(1 - values[i]!)))));
    const angle = Math.fround(twoPi * values[i + 8]!);
    values[i] = radius * Math.fround(Math.cos(angle));
    values[i + 8] = radius * Math.fround(Math.sin(angle));
  }
}

/** `torch.manual_seed(seed); torch.randn(shape)` on the CPU. */
export function torchRandn(seed: number, shape: readonly number[]): Tensor<"float32"> {
  return new TorchGenerator(seed).randn(shape);
}
