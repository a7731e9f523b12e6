import {
  at,
  type Edit,
  type EditOptions,
  identityOf,
  limitedEdit,
  registerEditKind,
  relabelled,
  type StepContext,
  type Strength,
  withRecipe,
} from "../hooks/index.js";
import { activationVectors, positionCount, Sae } from "../sae/index.js";
import { expectFloat32, float32, scalar, type Tensor } from "../tensor/index.js";

export interface FeatureEditOptions extends Omit<EditOptions, "channels"> {
  /** The hook point whose activations the SAE was trained on. */
  readonly at: string;
}

export interface SteerOptions extends FeatureEditOptions {
  /** How much of the strength reaches each place: [y, x] of the activation, or [token]; default 1 everywhere. */
  readonly places?: Tensor;
}

/**
 * x + strength·(the feature's decoder direction), at every place: what the decoder would do if the code were larger by
 * `strength`. Strengths are best told in units of `typicalCode`. The SAE's error stays in x; strength 0 changes no bit.
 * @throws RangeError if the SAE has no such feature; when it runs, if `places` has not the activation's height and width
 * @example
 * import { collect, load, steer, trainSae, typicalCode } from "tweedie";
 *
 * const pipe = await load("shapes");
 * const at = "up_blocks.1";
 * const acts = await collect(pipe, "a red circle", { at, steps: 4 });
 * const sae = await trainSae(acts, { features: 32, k: 4, steps: 60, batchSize: 128 });
 * const unit = typicalCode((await sae.encodeSparse(acts)).column(3));
 * await pipe.with(steer(sae, 3, 2 * unit, { at, branch: "cond" })).generate("a blue square")
 */
export function steer(sae: Sae, feature: number, strength: Strength, options: SteerOptions): Edit {
  const { at: pattern, places, ...rest } = options;
  const direction = directions(sae, [feature]).row(0);
  const edit = at(pattern).add(
    places === undefined ? direction : placed(direction, expectFloat32(places, "steer: places")),
    strength,
    rest,
  );
  return relabelled(edit, `${pattern} + ${strengthText(strength)} of feature ${feature}, SAE ${sae.digest.slice(0, 12)}`);
}

/**
 * Codes of features multiplied where they are active: x + (z′ − z)·W_dec with z′ = factor·z for these features. Places
 * where none is active keep every bit, as all do at factor 1. The encoder runs inside the model's graph.
 */
export function scaleFeatures(sae: Sae, features: readonly number[], factor: Strength, options: FeatureEditOptions): Edit {
  const label = `${options.at}: features ${features.join(", ")} × ${strengthText(factor)}`;
  const edit = codeEdit(sae, features, options, label, (context) => ({ gain: resolve(factor, context) - 1, offset: 0 }));
  return withRecipe("scaleFeatures", options.at, [partsOf(sae), features, factor, options], edit);
}

/** The same with factor 0: the features are taken out, everything else stays. */
export function ablateFeatures(sae: Sae, features: readonly number[], options: FeatureEditOptions): Edit {
  return scaleFeatures(sae, features, 0, options);
}

/**
 * Codes of features held at a value everywhere, also where they are not active: x + (value − z)·W_dec.
 * @see Templeton et al. 2024, "Scaling Monosemanticity"
 */
export function clampFeatures(sae: Sae, features: readonly number[], value: Strength, options: FeatureEditOptions): Edit {
  const label = `${options.at}: features ${features.join(", ")} = ${strengthText(value)}`;
  const edit = codeEdit(sae, features, options, label, (context) => ({ gain: -1, offset: resolve(value, context) }));
  return withRecipe("clampFeatures", options.at, [partsOf(sae), features, value, options], edit);
}

type SaeParts = Pick<Sae, "config" | "weights">;

/** What a recipe keeps of an SAE. */
function partsOf({ config, weights }: Sae): SaeParts {
  return { config, weights };
}

for (const [kind, make] of Object.entries({ scaleFeatures, clampFeatures })) {
  registerEditKind(kind, (_, sae: SaeParts, features: number[], amount: Strength, options: FeatureEditOptions) =>
    make(new Sae(sae.config, sae.weights), features, amount, options),
  );
}

/** x + (gain·z + offset)·W_dec over the given features; gain and offset are fed at each run. */
function codeEdit(
  sae: Sae,
  features: readonly number[],
  { at: pattern, ...limits }: FeatureEditOptions,
  label: string,
  change: (context: StepContext) => { gain: number; offset: number },
): Edit {
  const written = directions(sae, features);
  return limitedEdit(
    pattern,
    {
      kind: `codes of ${identityOf(sae)} [${features.join()}]`,
      label: `${label}, SAE ${sae.digest.slice(0, 12)}`,
      edited: (x, g, input, point) => {
        const { vectors, restore } = activationVectors(x.cast("float32"), point, sae.config.width);
        const codes = sae.encoder(g, vectors.reshape([-1, sae.config.width]));
        const picked = codes.gather(g.ints(features), 1).reshape([-1, positionCount(point), features.length]);
        const changed = picked.mul(input("gain", "float32", [])).add(input("offset", "float32", []));
        const less = restore(changed.matmul(g.constant(written)).neg()).cast(x.dtype);
        // x − (+0) is x bit by bit, −0 included; x + 0 is not, and the runtime's Where does not keep −0 either.
        return x.sub(g.where(less.equal(0), g.scalar(0, x.dtype), less));
      },
      feeds: (point, context) => {
        const { gain, offset } = change(context);
        if (Number.isFinite(gain + offset)) return { gain: scalar(gain), offset: scalar(offset) };
        throw new RangeError(`edit at ${point.path}: factors and values must be finite numbers (${label})`);
      },
      isIdle: (context) => {
        const { gain, offset } = change(context);
        return gain === 0 && offset === 0;
      },
    },
    limits,
  );
}

/**
 * A feature's code where it is clearly on: the mean of the largest tenth of its codes above 0. 0 if it never fires.
 * @param codes its codes, such as `SparseCodes.column` gives
 */
export function typicalCode(codes: ArrayLike<number>): number {
  const fired = Float64Array.from(codes)
    .filter((code) => code > 0)
    .sort();
  const top = fired.subarray(Math.floor(0.9 * fired.length));
  return top.length === 0 ? 0 : top.reduce((sum, code) => sum + code, 0) / top.length;
}

/** The direction at every place, times the place's share: [channel, y, x], or [token, channel] as sequences have it. */
function placed(direction: Tensor<"float32">, places: Tensor<"float32">): Tensor<"float32"> {
  const [channels, count] = [direction.size, places.size];
  const isSequence = places.shape.length === 1;
  const data = Float32Array.from({ length: channels * count }, (_, i) => {
    const [channel, place] = isSequence ? [i % channels, Math.floor(i / channels)] : [Math.floor(i / count), i % count];
    return direction.data[channel]! * places.data[place]!;
  });
  return float32(data, isSequence ? [count, channels] : [channels, ...places.shape]);
}

/** Rows of the decoder, [features.length, d]. */
function directions({ weights, config }: Sae, features: readonly number[]): Tensor<"float32"> {
  const out = new Float32Array(features.length * config.width);
  features.forEach((feature, i) => {
    if (!Number.isInteger(feature) || feature < 0 || feature >= config.features) {
      throw new RangeError(`features of this SAE are 0…${config.features - 1}, got ${feature}`);
    }
    out.set(weights.W_dec.row(feature).data, i * config.width);
  });
  return float32(out, [features.length, config.width]);
}

function resolve(strength: Strength, context: StepContext): number {
  return typeof strength === "number" ? strength : strength(context);
}

function strengthText(strength: Strength): string {
  return typeof strength === "number" ? String(strength) : "strength(step)";
}
