/** Codes of n vectors over F features, of which only those above 0 are kept. */
export class SparseCodes {
  /** Number of vectors, n. */
  readonly count: number;
  /** Number of features, F. */
  readonly features: number;
  /** Entries start[i]…start[i + 1] − 1 belong to vector i; n + 1 numbers. */
  readonly start: Uint32Array;
  /** Feature of each entry, ascending within a vector. */
  readonly feature: Uint32Array;
  /** Code of each entry, > 0. */
  readonly value: Float32Array;

  constructor(features: number, start: Uint32Array, feature: Uint32Array, value: Float32Array) {
    this.count = start.length - 1;
    this.features = features;
    this.start = start;
    this.feature = feature;
    this.value = value;
  }

  /** Joins dense codes [m, F], part after part. */
  static async fromDense(features: number, parts: AsyncIterable<Float32Array>): Promise<SparseCodes> {
    const start = [0];
    let feature = new Uint32Array(1024);
    let value = new Float32Array(1024);
    let end = 0;
    for await (const codes of parts) {
      for (let row = 0; row < codes.length; row += features) {
        for (let f = 0; f < features; f++) {
          const code = codes[row + f]!;
          if (code <= 0) continue;
          if (end === value.length) {
            feature = grown(feature, new Uint32Array(2 * end));
            value = grown(value, new Float32Array(2 * end));
          }
          feature[end] = f;
          value[end++] = code;
        }
        start.push(end);
      }
    }
    return new SparseCodes(features, Uint32Array.from(start), feature.slice(0, end), value.slice(0, end));
  }

  /** Codes of one feature over all vectors [n], zeros included. @throws RangeError if there is no such feature */
  column(feature: number): Float32Array {
    if (!Number.isInteger(feature) || feature < 0 || feature >= this.features)
      throw new RangeError(`SparseCodes.column: features are 0…${this.features - 1}, got ${feature}`);
    const out = new Float32Array(this.count);
    for (let i = 0; i < this.count; i++)
      for (let e = this.start[i]!; e < this.start[i + 1]!; e++) if (this.feature[e] === feature) out[i] = this.value[e]!;
    return out;
  }

  /** Features that fire on one vector, with their codes. */
  row(index: number): { feature: Uint32Array; value: Float32Array } {
    const [from, to] = [this.start[index]!, this.start[index + 1]!];
    return { feature: this.feature.subarray(from, to), value: this.value.subarray(from, to) };
  }

  /** The same entries ordered by feature: entries start[f]…start[f + 1] − 1 belong to feature f, vectors ascending. */
  byFeature(): { readonly start: Uint32Array; readonly vector: Uint32Array; readonly value: Float32Array } {
    const start = new Uint32Array(this.features + 1);
    for (const f of this.feature) start[f + 1]!++;
    for (let f = 0; f < this.features; f++) start[f + 1]! += start[f]!;
    const next = start.slice(0, -1);
    const vector = new Uint32Array(this.value.length);
    const value = new Float32Array(this.value.length);
    for (let i = 0; i < this.count; i++) {
      for (let e = this.start[i]!; e < this.start[i + 1]!; e++) {
        const to = next[this.feature[e]!]!++;
        vector[to] = i;
        value[to] = this.value[e]!;
      }
    }
    return { start, vector, value };
  }
}

function grown<A extends Uint32Array | Float32Array>(from: A, to: A): A {
  to.set(from as never);
  return to;
}
