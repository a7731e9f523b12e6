import type { GraphBuilder, Value } from "../../program/index.js";

/** What an optimizer sees of one parameter, inside the training graph. */
export interface ParameterState {
  readonly weight: Value;
  readonly gradient: Value;
  /** Values kept from step to step, in the order of `slots`. */
  readonly slots: readonly Value[];
  /** This step's numbers, in the order of `coefficients`. */
  readonly coefficients: readonly Value[];
  /** Whether weight decay applies: matrices and kernels, not biases and norms. */
  readonly decays: boolean;
}

/** An update rule as graph nodes. Numbers that change from step to step are fed, so one graph serves a whole schedule. */
export interface Optimizer {
  readonly name: string;
  /** Names of the values kept per parameter, each of the parameter's shape, starting at zero. */
  readonly slots: readonly string[];
  /** The fed numbers of step `step` (from 1). */
  coefficients(step: number, learningRate: number): readonly number[];
  update(g: GraphBuilder, state: ParameterState): { weight: Value; slots: readonly Value[] };
}
