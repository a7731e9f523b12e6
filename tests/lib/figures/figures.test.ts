import { describe, expect, test } from "vitest";
import { Figure, jupyterDisplay, stillOf } from "../../../lib/figures/index.js";
import { exampleFigures } from "./example-figures.js";
import { roundFigure } from "./round-figure.js";

const figures = exampleFigures(120);

describe("every figure", () => {
  for (const [name, figure] of Object.entries(figures)) {
    test(`${name} is drawn as it was`, () => {
      expect(roundFigure(figure)).toMatchSnapshot();
    });

    test(`${name} has HTML and text, and where it is a plot, Plotly's JSON and a still picture`, async () => {
      const bundle = await figure[jupyterDisplay]();
      expect(String(bundle["text/html"]).length).toBeGreaterThan(100);
      expect(String(bundle["text/plain"]).length).toBeGreaterThan(10);
      expect("application/vnd.plotly.v1+json" in bundle).toBe(figure instanceof Figure);
      expect(stillOf(String(bundle["text/html"]))).toBe(figure instanceof Figure ? figure.toSvg() : undefined);
    });
  }

  test("says what its axes are", () => {
    for (const figure of Object.values(figures)) {
      if (!(figure instanceof Figure)) continue;
      for (const [key, axis] of Object.entries(figure.layout)) {
        if (!/^[xy]axis\d*$/.test(key)) continue;
        const { visible, title, ticktext } = axis as { visible?: boolean; title?: { text: string }; ticktext?: unknown };
        expect(visible === false || title!.text !== "" || ticktext !== undefined).toBe(true);
      }
    }
  });

  test("leaves its typed arrays as they are until it is shown", () => {
    const [trace] = (figures.embeddingScatter as Figure).data;
    expect(trace!.x).toBeInstanceOf(Float32Array);
    const shown = (figures.embeddingScatter as Figure).toJSON().data as { x: { dtype: string; bdata: string } }[];
    expect(shown[0]!.x.dtype).toBe("f4");
    expect(Buffer.from(shown[0]!.x.bdata, "base64").byteLength).toBe(4 * (trace!.x as Float32Array).length);
  });
});
