import type { GraphBuilder, Value } from "../program/index.js";
import { float32, int64 } from "../tensor/index.js";

/** Mean squared error over all elements. */
export function mseLoss(g: GraphBuilder, prediction: Value, target: Value): Value {
  const d = prediction.sub(target);
  return g.op("ReduceSumSquare", [d, g.ints(d.shape.map((_, i) => i))], { keepdims: 0 }).mul(1 / d.size);
}

/** Mean absolute error over all elements. */
export function l1Loss(prediction: Value, target: Value): Value {
  return prediction.sub(target).abs().mean();
}

/** −log softmax(logits)[label], averaged over rows with the given weights. @param labels int64 [n]; weights [n] or none */
export function crossEntropy(g: GraphBuilder, logits: Value, labels: Value, weights?: Value): Value {
  const classes = logits.dim(-1);
  const picked = g.op("OneHot", [labels, g.ints([classes]), g.shared("onehot", () => float32([0, 1]))], { axis: -1 });
  const perRow = logits.logSoftmax(-1).mul(picked).sum([-1]).neg();
  if (weights === undefined) return perRow.mean();
  return perRow.mul(weights).sum().div(weights.sum().maximum(1));
}

/** Binary cross-entropy of logits against 0/1 targets, averaged over all elements; stable for large logits. */
export function binaryCrossEntropy(g: GraphBuilder, logits: Value, targets: Value): Value {
  return g.op("Softplus", [logits]).sub(logits.mul(targets)).mean();
}

/**
 * Symmetric InfoNCE of paired rows: row i of one side belongs to row i of the other.
 * @param similarity [n, n] scaled similarities @see arXiv:2103.00020
 */
export function contrastiveLoss(g: GraphBuilder, similarity: Value): Value {
  const n = similarity.dim(0);
  const labels = g.shared(`arange:${n}`, () => int64(Array.from({ length: n }, (_, i) => i)));
  return crossEntropy(g, similarity, labels)
    .add(crossEntropy(g, similarity.transpose([1, 0]), labels))
    .mul(0.5);
}

/** KL divergence of N(mean, exp(logVariance)) from N(0, 1), averaged over elements, in nats. */
export function gaussianKl(mean: Value, logVariance: Value): Value {
  return mean.square().add(logVariance.exp()).sub(1).sub(logVariance).mul(0.5).mean();
}
