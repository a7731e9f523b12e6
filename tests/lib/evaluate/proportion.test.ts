import { describe, expect, it } from "vitest";
import { proportion, proportionOf } from "../../../lib/evaluate/index.js";

describe("proportion", () => {
  it("gives the Wilson interval of 95 of 100", () => {
    const { share, low, high } = proportion(95, 100);
    expect(share).toBe(0.95);
    expect(low).toBeCloseTo(0.8882495, 6);
    expect(high).toBeCloseTo(0.9784563, 6);
  });

  it("stays within 0…1 and keeps some doubt at the ends", () => {
    expect(proportion(0, 10)).toMatchObject({ share: 0, low: 0, high: expect.closeTo(0.277533, 6) as number });
    expect(proportion(10, 10)).toMatchObject({ share: 1, low: expect.closeTo(0.722467, 6) as number, high: 1 });
  });

  it("knows nothing without trials", () => {
    expect(proportion(0, 0)).toEqual({ successes: 0, trials: 0, share: Number.NaN, low: 0, high: 1 });
  });

  it("counts outcomes", () => {
    expect(proportionOf([true, false, true, true])).toMatchObject({ successes: 3, trials: 4 });
  });

  it("refuses more successes than trials", () => {
    expect(() => proportion(3, 2)).toThrow(RangeError);
  });
});
