import { describe, expect, it } from "vitest";
import { assign, matchDictionaries } from "../../../lib/sae/index.js";
import { float32, Rng } from "../../../lib/tensor/index.js";

function cheapest(cost: Float64Array, rows: number, columns: number, row = 0, used = 0): number {
  if (row === rows) return 0;
  let best = Number.POSITIVE_INFINITY;
  for (let c = 0; c < columns; c++)
    if (!(used & (1 << c)))
      best = Math.min(best, cost[row * columns + c]! + cheapest(cost, rows, columns, row + 1, used | (1 << c)));
  return best;
}

describe("assign", () => {
  it("prefers the best total to the best first choice", () => {
    // greedy takes 1 for row 0 and pays 9 + 8; the optimum is 2 + 4 + 3
    expect([...assign(Float64Array.from([1, 2, 9, 4, 9, 9, 9, 8, 3]), 3, 3)]).toEqual([1, 0, 2]);
  });

  it.each([
    [1, 1],
    [3, 3],
    [5, 7],
    [7, 7],
  ])("costs what the best of all assignments costs (%i × %i)", (rows, columns) => {
    const rng = new Rng([rows, columns]);
    for (let round = 0; round < 20; round++) {
      const cost = Float64Array.from({ length: rows * columns }, () => rng.normal());
      const chosen = [...assign(cost, rows, columns)];
      expect(new Set(chosen).size).toBe(rows);
      expect(chosen.reduce((sum, c, r) => sum + cost[r * columns + c]!, 0)).toBeCloseTo(cheapest(cost, rows, columns), 10);
    }
  });

  it("refuses more rows than columns", () => {
    expect(() => assign(new Float64Array(6), 3, 2)).toThrow(/transpose/);
  });
});

describe("matchDictionaries", () => {
  it("finds a permuted, rescaled dictionary again", () => {
    const atoms = float32([1, 0, 0, 0, 1, 0, 0, 0, 1], [3, 3]);
    const learned = float32([0, 0, 2, 0.5, 0, 0, 0, 3, 0, 1, 1, 1], [4, 3]);
    const { mmcs, recovered, match } = matchDictionaries(atoms, learned);
    expect(mmcs).toBeCloseTo(1, 12);
    expect(recovered).toBe(1);
    expect([...match]).toEqual([1, 2, 0]);
  });

  it("gives one learned feature to one atom only", () => {
    const { mmcs, match, cosines } = matchDictionaries(float32([1, 0, 1, 0], [2, 2]), float32([1, 0, 0, 1], [2, 2]));
    expect(mmcs).toBeCloseTo(0.5, 12);
    expect([...match].sort()).toEqual([0, 1]);
    expect([...cosines].sort()).toEqual([0, 1]);
  });

  it("leaves atoms unmatched when there are more of them than features", () => {
    const { match, cosines, mmcs } = matchDictionaries(float32([1, 0, 0, 1, 1, 1], [3, 2]), float32([0, 1], [1, 2]));
    expect([...match]).toEqual([-1, 0, -1]);
    expect(cosines[0]).toBeNaN();
    expect(mmcs).toBeCloseTo(1, 12);
  });
});
