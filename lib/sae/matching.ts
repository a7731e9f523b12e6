import type { Tensor } from "../tensor/index.js";

/**
 * Assigns each row a column of its own so that the summed cost is least.
 * @param cost [rows, columns] row-major, rows ≤ columns
 * @returns the column of each row
 * @throws RangeError if there are more rows than columns
 * @see Kuhn 1955 (Hungarian method), in the shortest augmenting path form of Jonker & Volgenant 1987: O(rows²·columns)
 */
export function assign(cost: Float64Array, rows: number, columns: number): Uint32Array {
  if (rows > columns) throw new RangeError(`assign: ${rows} rows cannot each have one of ${columns} columns; transpose the cost`);
  // Row and column numbers are shifted by one: 0 stands for "none yet".
  const rowPrice = new Float64Array(rows + 1);
  const columnPrice = new Float64Array(columns + 1);
  const rowOf = new Uint32Array(columns + 1);
  const from = new Uint32Array(columns + 1);
  const slack = new Float64Array(columns + 1);
  const done = new Uint8Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    rowOf[0] = row;
    slack.fill(Number.POSITIVE_INFINITY);
    done.fill(0);
    let column = 0;
    do {
      done[column] = 1;
      const at = rowOf[column]!;
      let least = Number.POSITIVE_INFINITY;
      let next = 0;
      for (let j = 1; j <= columns; j++) {
        if (done[j]) continue;
        const reduced = cost[(at - 1) * columns + j - 1]! - rowPrice[at]! - columnPrice[j]!;
        if (reduced < slack[j]!) {
          slack[j] = reduced;
          from[j] = column;
        }
        if (slack[j]! < least) {
          least = slack[j]!;
          next = j;
        }
      }
      for (let j = 0; j <= columns; j++) {
        if (done[j]) {
          rowPrice[rowOf[j]!]! += least;
          columnPrice[j]! -= least;
        } else {
          slack[j]! -= least;
        }
      }
      column = next;
    } while (rowOf[column] !== 0);
    while (column !== 0) {
      rowOf[column] = rowOf[from[column]!]!;
      column = from[column]!;
    }
  }
  const columnOf = new Uint32Array(rows);
  for (let j = 1; j <= columns; j++) if (rowOf[j] !== 0) columnOf[rowOf[j]! - 1] = j - 1;
  return columnOf;
}

/** How two dictionaries agree. */
export interface DictionaryMatch {
  /** Mean cosine similarity of matched atoms (MMCS by optimal one-to-one matching). */
  readonly mmcs: number;
  /** Share of the smaller dictionary's atoms whose match has a cosine above 0.9. */
  readonly recovered: number;
  /** For each atom of `atoms`, its match in `learned`; -1 where `learned` is smaller and it has none. */
  readonly match: Int32Array;
  /** Cosine of each matched pair; NaN without a match. */
  readonly cosines: Float64Array;
}

/**
 * Matches atoms one to one so that the summed cosine similarity is greatest.
 * @param atoms [m, d], e.g. a planted dictionary @param learned [F, d], e.g. an SAE's W_dec
 */
export function matchDictionaries(atoms: Tensor<"float32">, learned: Tensor<"float32">): DictionaryMatch {
  const [m, d] = atoms.shape as [number, number];
  const [features, width] = learned.shape as [number, number];
  if (d !== width) throw new RangeError(`matchDictionaries: atoms have length ${d}, the learned ones ${width}`);
  const a = unitRows(atoms);
  const b = unitRows(learned);
  const cosine = (i: number, j: number): number => {
    let sum = 0;
    for (let t = 0; t < d; t++) sum += a[i * d + t]! * b[j * d + t]!;
    return sum;
  };
  const flipped = m > features;
  const [rows, columns] = flipped ? [features, m] : [m, features];
  const cost = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) cost[i * columns + j] = -(flipped ? cosine(j, i) : cosine(i, j));
  const columnOf = assign(cost, rows, columns);
  const match = new Int32Array(m).fill(-1);
  const cosines = new Float64Array(m).fill(Number.NaN);
  let sum = 0;
  let recovered = 0;
  columnOf.forEach((column, row) => {
    const similarity = -cost[row * columns + column]!;
    const atom = flipped ? column : row;
    match[atom] = flipped ? row : column;
    cosines[atom] = similarity;
    sum += similarity;
    if (similarity > 0.9) recovered++;
  });
  return { mmcs: sum / rows, recovered: recovered / rows, match, cosines };
}

function unitRows({ data, shape }: Tensor<"float32">): Float64Array {
  const d = shape[1]!;
  const out = Float64Array.from(data);
  for (let i = 0; i < out.length; i += d) {
    let squared = 0;
    for (let t = i; t < i + d; t++) squared += out[t]! ** 2;
    const norm = Math.sqrt(squared) || 1;
    for (let t = i; t < i + d; t++) out[t]! /= norm;
  }
  return out;
}
