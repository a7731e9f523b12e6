import { type BenchResult, bench as sae } from "./sae.bench.js";

/** Every measurement, one after the other. */
const benches: readonly (() => Promise<BenchResult>)[] = [sae];

for (const bench of benches) {
  const { name, ours, peer, ratio, wanted, note } = await bench();
  const against =
    ratio === undefined ? "no PyTorch to compare with" : `PyTorch ${peer?.toFixed(1)} ms, ratio ${ratio.toFixed(2)}`;
  console.log(
    `${name}: ${ours.toFixed(1)} ms; ${against}${wanted === undefined ? "" : ` (wanted ≤ ${wanted})`}${note ? `; ${note}` : ""}`,
  );
}
