import { Displayed, lossCurve, type MimeBundle, numberText, percentText } from "../figures/index.js";
import { GraphBuilder, type Value } from "../program/index.js";
import { type Environment, openSession, type Session, type SessionOptions } from "../runtime/index.js";
import { expectFloat32, float32, type Tensor, tensorDigest } from "../tensor/index.js";
import { ColumnSums, densityHistogram, type SaeMetrics, UnexplainedVariance } from "./metrics.js";
import { readSaeFolder, writeSaeFolder } from "./sae-file.js";
import { SparseCodes } from "./sparse-codes.js";
import { decode, type SaeConfig, type SaeValues, type SaeWeights } from "./variant.js";
import { variantOf } from "./variants/index.js";
import { chunksOf, type VectorSource, type Vectors, vectorSource } from "./vector-source.js";

/** What was watched during training: one number per step. */
export interface TrainingHistory {
  readonly loss: Float32Array;
  /** Mean squared error per number, of normalised activations. */
  readonly mse: Float32Array;
  readonly l0: Float32Array;
  /** Share of features that had not fired in `deadAfter` vectors. */
  readonly dead: Float32Array;
  readonly deadAfter: number;
  /** Number of the first step recorded: 0, or where a checkpoint was taken up. */
  readonly firstStep: number;
}

/** What is needed to train it again. */
export interface SaeManifest {
  /** Number of vectors it was trained on, their length, and where they come from if that is known. */
  readonly data: { readonly count: number; readonly width: number; readonly source?: unknown };
  /** Every setting of the training, defaults filled in. */
  readonly training: Readonly<Record<string, unknown>>;
  readonly environment: Environment;
}

/** For each feature the vectors on which it fires most. */
export interface TopActivations {
  /** Entries kept per feature; fewer where it fired less often. */
  readonly perFeature: number;
  /** Numbers of the vectors [F][≤ perFeature], strongest first. */
  readonly vectors: readonly Uint32Array[];
  /** Their codes. */
  readonly values: readonly Float32Array[];
}

/**
 * A sparse autoencoder: codes z [n, F] of activations x [n, d] and reconstructions x̂ = z·W_dec + b_dec, both in the
 * activations' own units. Row f of `weights.W_dec` is the direction feature f writes. Sessions open when first used;
 * `close` frees them.
 */
export class Sae extends Displayed {
  readonly config: SaeConfig;
  readonly weights: SaeWeights;
  /** Curves of its training; absent for a loaded SAE. */
  readonly history: TrainingHistory | undefined;
  /** How it was trained; absent for an SAE of other origin. */
  readonly manifest: SaeManifest | undefined;
  private readonly sessionOptions: SessionOptions;
  private readonly sessions: Map<string, Promise<Session>> = new Map();

  /** @throws RangeError if the weights do not have the shapes of the configuration */
  constructor(
    config: SaeConfig,
    weights: SaeWeights,
    { history, manifest }: { readonly history?: TrainingHistory | undefined; readonly manifest?: SaeManifest | undefined } = {},
    session: SessionOptions = {},
  ) {
    super();
    const { width: d, features } = config;
    variantOf(config.variant).check(config);
    const shapes: Record<keyof SaeWeights, readonly number[]> = {
      W_enc: [features, d],
      b_enc: [features],
      W_dec: [features, d],
      b_dec: [d],
      threshold: [features],
    };
    for (const [name, shape] of Object.entries(shapes)) {
      const tensor = weights[name as keyof SaeWeights];
      if (name === "threshold" && tensor === undefined) continue;
      if (tensor?.shape.join() !== shape.join())
        throw new RangeError(`Sae: ${name} should be [${shape.join(", ")}], got ${tensor ?? "none"}`);
    }
    this.config = config;
    this.weights = weights;
    this.history = history;
    this.manifest = manifest;
    this.sessionOptions = session;
  }

  /** Writes the encoder into a graph under construction: codes [n, F] of activations [n, d]. */
  encoder(g: GraphBuilder, x: Value): Value {
    return variantOf(this.config.variant).encode(g, x, this.valuesIn(g), this.config);
  }

  /** Writes the decoder into a graph under construction: activations [n, d] from codes [n, F]. */
  decoder(g: GraphBuilder, codes: Value): Value {
    return decode(g, codes, this.valuesIn(g));
  }

  private valuesIn(g: GraphBuilder): SaeValues {
    const known = graphValues.get(g)?.get(this);
    if (known !== undefined) return known;
    const values = Object.fromEntries(
      Object.entries(this.weights).map(([name, tensor]) => [name, g.constant(tensor)]),
    ) as SaeValues;
    const ofGraph = graphValues.get(g) ?? new Map<Sae, SaeValues>();
    graphValues.set(g, ofGraph.set(this, values));
    return values;
  }

  /** Codes [n, F], zeros included. @param x activations [n, d] */
  async encode(x: Tensor): Promise<Tensor<"float32">> {
    return await this.apply("encode", x, this.config.width, this.config.features);
  }

  /** Codes without their zeros: what to use when n·F numbers are too many. */
  async encodeSparse(x: Vectors): Promise<SparseCodes> {
    const source = await this.sourceOf(x);
    const session = await this.session("encode");
    async function* dense(size: number): AsyncGenerator<Float32Array> {
      for await (const part of chunksOf(source, size)) yield (await session.run({ x: part })).y!.data as Float32Array;
    }
    return await SparseCodes.fromDense(this.config.features, dense(this.chunk));
  }

  /** Activations [n, d] of codes [n, F]. */
  async decode(codes: Tensor): Promise<Tensor<"float32">> {
    return await this.apply("decode", codes, this.config.features, this.config.width);
  }

  /** x̂ [n, d] of activations [n, d]. */
  async reconstruct(x: Tensor): Promise<Tensor<"float32">> {
    return await this.apply("reconstruct", x, this.config.width, this.config.width);
  }

  /** Fit, sparsity and firing rates over these activations; nothing of size n·F is kept. */
  async metrics(x: Vectors): Promise<SaeMetrics> {
    const source = await this.sourceOf(x);
    const { features } = this.config;
    const means = new ColumnSums();
    for await (const part of chunksOf(source, this.chunk)) means.add(part);
    const variance = new UnexplainedVariance(means.means);
    const l0PerToken = new Float32Array(source.count);
    const fired = new Float64Array(features);
    const session = await this.session("evaluate");
    let done = 0;
    for await (const part of chunksOf(source, this.chunk)) {
      const { y, l0, counts } = (await session.run({ x: part })) as Record<string, Tensor<"float32">>;
      variance.add(part, y!);
      l0PerToken.set(l0!.data, done);
      counts!.data.forEach((c, f) => {
        fired[f]! += c;
      });
      done += l0!.size;
    }
    const firingRates = fired.map((c) => c / source.count);
    const density = densityHistogram(firingRates, source.count);
    return {
      tokens: source.count,
      fvu: variance.fvu,
      explainedVariance: 1 - variance.fvu,
      mse: variance.mse,
      l0: l0PerToken.reduce((a, b) => a + b, 0) / source.count,
      l0PerToken,
      deadFraction: density.dead / features,
      firingRates,
      density,
    };
  }

  /** For each feature the `perFeature` vectors on which it fires most, strongest first. */
  async topActivations(x: Vectors, perFeature = 16): Promise<TopActivations> {
    const { start, vector, value } = (await this.encodeSparse(x)).byFeature();
    const best = Array.from({ length: this.config.features }, (_, f) => {
      const entries = Uint32Array.from({ length: start[f + 1]! - start[f]! }, (_, i) => start[f]! + i);
      return entries.sort((a, b) => value[b]! - value[a]! || a - b).slice(0, perFeature);
    });
    return {
      perFeature,
      vectors: best.map((entries) => entries.map((e) => vector[e]!)),
      values: best.map((entries) => Float32Array.from(entries, (e) => value[e]!)),
    };
  }

  /**
   * Writes the SAE as a folder that SAELens loads too (`SAE.load_from_disk`). The scale of training is folded into the
   * weights, so activations go in as they are.
   */
  save(folder: string): Promise<void> {
    return writeSaeFolder(folder, this);
  }

  /** SHA-256 of the weights: what the manifests of edits name it by. */
  get digest(): string {
    const { W_enc, b_enc, W_dec, b_dec, threshold } = this.weights;
    return tensorDigest(W_enc, b_enc, W_dec, b_dec, ...(threshold ? [threshold] : []));
  }

  /** Frees the sessions; the SAE can still be used and opens them anew. */
  async close(): Promise<void> {
    const open = [...this.sessions.values()];
    this.sessions.clear();
    await Promise.all(open.map(async (session) => (await session).release()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The curve of its training, where it has one. */
  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    const { history } = this;
    if (history === undefined || history.mse.length === 0) return super.mimeBundle();
    const { mse, l0, dead, firstStep } = history;
    return lossCurve([{ name: "squared error", y: mse, x: Float64Array.from(mse, (_, step) => firstStep + step) }], {
      title: String(this),
      subtitle: `at the end of training L0 ${numberText(l0.at(-1))}, ${percentText(dead.at(-1)!)} of features dead; metrics() judges it`,
      yLabel: "mean squared error per number",
    }).mimeBundle();
  }

  override toString(): string {
    const { variant, width, features, k } = this.config;
    return `Sae(${variant}, ${width} → ${features}${k === undefined ? "" : `, k = ${k}`})`;
  }

  /** Rows per run: codes of about 32 MiB. */
  private get chunk(): number {
    return Math.min(8192, Math.max(64, Math.floor(2 ** 23 / this.config.features)));
  }

  private async sourceOf(x: Vectors): Promise<VectorSource> {
    const source = await vectorSource(x);
    if (source.width !== this.config.width)
      throw new RangeError(
        `${this}: expected activations of length ${this.config.width}, got ${source.width}; use those of the place it was trained on`,
      );
    return source;
  }

  private async apply(graph: keyof typeof graphs, x: Tensor, from: number, to: number): Promise<Tensor<"float32">> {
    const matrix = expectFloat32(x, `${this}.${graph}`);
    if (matrix.shape.length !== 2 || matrix.shape[1] !== from)
      throw new RangeError(`${this}.${graph}: expected [n, ${from}], got ${x}; reshape it to rows`);
    const rows = matrix.shape[0]!;
    const session = await this.session(graph);
    const out = new Float32Array(rows * to);
    for (let start = 0; start < rows; start += this.chunk) {
      const part = matrix.slice(start, Math.min(rows, start + this.chunk));
      out.set((await session.run({ x: part })).y!.data as Float32Array, start * to);
    }
    return float32(out, [rows, to]);
  }

  private session(graph: keyof typeof graphs): Promise<Session> {
    let session = this.sessions.get(graph);
    if (session === undefined) {
      const g = new GraphBuilder({ name: `sae-${graph}` });
      graphs[graph](g, this);
      session = openSession(g.model(), this.sessionOptions);
      this.sessions.set(graph, session);
      // One that was interrupted is opened again by the next who needs it.
      session.catch(() => this.sessions.delete(graph));
    }
    return session;
  }
}

/**
 * Loads an SAE from a folder written by `Sae.save`, SAELens (architectures standard, topk, jumprelu) or sparsify.
 * @throws SaeFormatError if the folder holds no SAE, or one that needs what is not supported
 */
export async function loadSae(folder: string, session: SessionOptions = {}): Promise<Sae> {
  const { config, weights, manifest } = await readSaeFolder(folder);
  return new Sae(config, weights, { manifest: manifest as SaeManifest | undefined }, session);
}

/** An SAE's weights are stored once in each graph it is written into. */
const graphValues: WeakMap<GraphBuilder, Map<Sae, SaeValues>> = new WeakMap();

/** The graphs that an SAE runs, each from an input x. */
const graphs = {
  encode(g: GraphBuilder, sae: Sae): void {
    g.output(sae.encoder(g, g.input("x", "float32", ["n", sae.config.width])), "y");
  },
  decode(g: GraphBuilder, sae: Sae): void {
    g.output(sae.decoder(g, g.input("x", "float32", ["n", sae.config.features])), "y");
  },
  reconstruct(g: GraphBuilder, sae: Sae): void {
    g.output(sae.decoder(g, sae.encoder(g, g.input("x", "float32", ["n", sae.config.width]))), "y");
  },
  evaluate(g: GraphBuilder, sae: Sae): void {
    const codes = sae.encoder(g, g.input("x", "float32", ["n", sae.config.width]));
    const fires = codes.sign();
    g.output(sae.decoder(g, codes), "y");
    g.output(fires.sum([1]), "l0");
    g.output(fires.sum([0]), "counts");
  },
};
