import type { Optimizer } from "./optimizer.js";

export interface SgdOptions {
  readonly momentum?: number;
  /** L2 penalty added to the gradient of matrices and kernels. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent with momentum, PyTorch's convention: v ← μv + g, w ← w − ηv. */
export function sgd({ momentum = 0, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  return {
    name: "sgd",
    slots: momentum > 0 ? ["velocity"] : [],
    coefficients: (_step, learningRate) => [learningRate],
    update(_g, { weight, gradient, slots, coefficients, decays }) {
      const g = decays && weightDecay > 0 ? gradient.add(weight.mul(weightDecay)) : gradient;
      const direction = momentum > 0 ? slots[0]!.mul(momentum).add(g) : g;
      return { weight: weight.sub(direction.mul(coefficients[0]!)), slots: momentum > 0 ? [direction] : [] };
    },
  };
}
