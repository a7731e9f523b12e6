import type { Optimizer } from "./optimizer.js";

export interface AdamWOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Decoupled decay per step, times the learning rate; matrices and kernels only. 0 makes this Adam. */
  readonly weightDecay?: number;
}

/**
 * Adam with decoupled weight decay; PyTorch's numbers. The moments are kept as Σβ₁ᵗg and Σβ₂ᵗg², without their
 * (1 − β) factors, which go into the step size: two passes over the weights fewer.
 * @see Loshchilov & Hutter 2019, arXiv:1711.05101
 */
export function adamw({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamWOptions = {}): Optimizer {
  return {
    name: "adamw",
    slots: ["m", "v"],
    coefficients(step, learningRate) {
      const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
      return [(learningRate * (1 - beta1)) / (1 - beta1 ** step) / root, epsilon / root, 1 - learningRate * weightDecay];
    },
    update(_g, { weight, gradient, slots, coefficients, decays }) {
      const [size, floor, keep] = coefficients as [typeof weight, typeof weight, typeof weight];
      const m = slots[0]!.mul(beta1).add(gradient);
      const v = slots[1]!.mul(beta2).add(gradient.square());
      const kept = decays && weightDecay > 0 ? weight.mul(keep) : weight;
      return { weight: kept.sub(m.div(v.sqrt().add(floor)).mul(size)), slots: [m, v] };
    },
  };
}
