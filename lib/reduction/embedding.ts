import { type ColumnTable, table } from "arquero";
import {
  Displayed,
  type DisplayedObject,
  type EmbeddingScatterOptions,
  embeddingScatter,
  type Figure,
  type MimeBundle,
} from "../figures/index.js";
import { defaultDevice, type Environment, environment } from "../runtime/index.js";
import { float32, type Tensor, tensorDigest } from "../tensor/index.js";
import { continuity, trustworthiness } from "./rank-quality.js";

/** Where an embedding comes from. */
export interface EmbeddingManifest {
  readonly method: string;
  /** Settings of the method, defaults filled in. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The points: how many, how long, their SHA-256, and where they come from if that was said. */
  readonly data: { readonly count: number; readonly width: number; readonly sha256: string; readonly source?: unknown };
  readonly environment: Environment;
}

/** Points of a few coordinates that stand for points of many, and how far their neighbourhoods can be believed. */
export class Embedding extends Displayed {
  /** float32 [n, components] */
  readonly points: Tensor<"float32">;
  readonly method: string;
  /** What is needed to make it again. */
  readonly manifest: EmbeddingManifest;
  /** Neighbourhood size of the two numbers below. */
  readonly neighbours: number;
  /** Share of the embedding's neighbourhoods that the data have too, 0…1. */
  readonly trustworthiness: number;
  /** Share of the data's neighbourhoods that the embedding keeps, 0…1. */
  readonly continuity: number;

  constructor(parts: Omit<Embedding, "table" | "figure" | "toString" | keyof DisplayedObject>) {
    super();
    this.points = parts.points;
    this.method = parts.method;
    this.manifest = parts.manifest;
    this.neighbours = parts.neighbours;
    this.trustworthiness = parts.trustworthiness;
    this.continuity = parts.continuity;
  }

  /** One row per point: x, y (and z), beside columns of one's own. */
  table(columns: Readonly<Record<string, ArrayLike<unknown>>> = {}): ColumnTable {
    const [n, k] = this.points.shape as [number, number];
    const names = k <= 3 ? ["x", "y", "z"] : Array.from({ length: k }, (_, c) => `dimension ${c + 1}`);
    const axes = Array.from({ length: k }, (_, c): [string, Float32Array] => [
      names[c]!,
      Float32Array.from({ length: n }, (_, i) => this.points.data[i * k + c]!),
    ]);
    return table({ ...Object.fromEntries(axes), ...columns });
  }

  /**
   * The points in their first two coordinates, coloured and labelled as the options say.
   * @throws RangeError for points of one coordinate
   */
  figure(options: EmbeddingScatterOptions = {}): Figure {
    const { data, shape } = this.points;
    const [n, k] = shape as [number, number];
    if (k < 2) throw new RangeError("Embedding.figure: expected points of two coordinates or more, got one; use table()");
    return embeddingScatter(
      float32(
        Float32Array.from({ length: 2 * n }, (_, i) => data[(i >> 1) * k + (i & 1)]!),
        [n, 2],
      ),
      {
        title: this.method.toUpperCase(),
        subtitle: `${this.#belief()}${k === 2 ? "" : ` · dimensions 1 and 2 of ${k}`}`,
        ...options,
      },
    );
  }

  override mimeBundle(): MimeBundle {
    const text = { "text/plain": String(this) };
    return this.points.shape[1]! < 2 ? text : { ...(this.figure().mimeBundle() as MimeBundle), ...text };
  }

  override toString(): string {
    return `${this.method} of ${this.points.shape[0]} points: ${this.#belief()}`;
  }

  #belief(): string {
    const { trustworthiness, continuity, neighbours } = this;
    return `trustworthiness ${trustworthiness.toFixed(3)}, continuity ${continuity.toFixed(3)} (k = ${neighbours})`;
  }
}

/** Judges embedded points against the data, with 15 neighbours or as many as few points allow. */
export async function embeddingOf(
  x: Tensor<"float32">,
  points: Tensor<"float32">,
  method: string,
  { source, signal, ...options }: Readonly<Record<string, unknown>> & { source?: unknown; signal?: AbortSignal | undefined },
): Promise<Embedding> {
  const [n, width] = x.shape as [number, number];
  const neighbours = Math.min(15, Math.ceil(n / 2) - 1);
  const settings = { neighbours, ...(signal && { signal }) };
  const judged = neighbours >= 1;
  return new Embedding({
    points,
    method,
    manifest: {
      method,
      options,
      data: { count: n, width, sha256: tensorDigest(x), ...(source === undefined ? {} : { source }) },
      environment: environment(await defaultDevice()),
    },
    neighbours,
    trustworthiness: judged ? await trustworthiness(x, points, settings) : Number.NaN,
    continuity: judged ? await continuity(x, points, settings) : Number.NaN,
  });
}
