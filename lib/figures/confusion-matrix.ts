import { Tensor } from "../tensor/tensor.js";
import type { Figure } from "./figure.js";
import { heatmap } from "./heatmap.js";
import { cividis } from "./palette.js";
import { countText, percentText } from "./text.js";

export interface ConfusionMatrixOptions {
  readonly title?: string;
}

/**
 * How often each true class (rows) was called each class (columns), as shares of the row.
 * @param counts [classes, classes] whole numbers, row = truth
 * @throws RangeError unless square with one name per class
 */
export function confusionMatrix(
  counts: readonly (readonly number[])[],
  classes: readonly string[],
  options: ConfusionMatrixOptions = {},
): Figure {
  const n = classes.length;
  if (counts.length !== n || counts.some((row) => row.length !== n)) {
    throw new RangeError(
      `confusionMatrix: ${n} classes need ${n}×${n} counts, got ${counts.length} rows of ${counts[0]?.length}`,
    );
  }
  const shares = new Float32Array(n * n);
  let total = 0;
  let right = 0;
  counts.forEach((row, i) => {
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((count, j) => {
      shares[i * n + j] = sum === 0 ? 0 : count / sum;
    });
    total += sum;
    right += row[i]!;
  });
  return heatmap(new Tensor("float32", shares, [n, n]), {
    title: options.title ?? "Confusion matrix",
    subtitle: `accuracy ${percentText(total === 0 ? 0 : right / total)} · n = ${countText(total)}`,
    rows: classes,
    columns: classes,
    xLabel: "called",
    yLabel: "truth",
    quantity: "share of the true class",
    range: [0, 1],
    colors: cividis,
  });
}
