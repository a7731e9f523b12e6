/** Places in 0…1 and their weights, which sum to 1. */
export interface Quadrature {
  readonly nodes: Float64Array;
  readonly weights: Float64Array;
}

export type QuadratureRule = "gauss-legendre" | "riemann";

/** ∫₀¹ by n values: exact for polynomials up to degree 2n − 1 (Gauss–Legendre), or the midpoint rule (Riemann). */
export function quadrature(rule: QuadratureRule, n: number): Quadrature {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`integrated gradients: points must be a whole number ≥ 1, got ${n}`);
  return rule === "riemann"
    ? { nodes: Float64Array.from({ length: n }, (_, i) => (i + 0.5) / n), weights: new Float64Array(n).fill(1 / n) }
    : gaussLegendre(n);
}

// Newton's method doubles the digits with each step, from a start that has three.
const newtonSteps = 6;

/** Roots of the Legendre polynomial Pₙ, carried from −1…1 to 0…1. */
function gaussLegendre(n: number): Quadrature {
  const nodes = new Float64Array(n);
  const weights = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let x = -Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let step = 0; step < newtonSteps; step++) {
      let [before, value] = [1, x];
      for (let k = 2; k <= n; k++) [before, value] = [value, ((2 * k - 1) * x * value - (k - 1) * before) / k];
      slope = (n * (x * value - before)) / (x * x - 1);
      x -= value / slope;
    }
    nodes[i] = (1 + x) / 2;
    weights[i] = 1 / ((1 - x * x) * slope * slope);
  }
  return { nodes, weights };
}
