import { afterEach, describe, expect, test, vi } from "vitest";
import { lossCurve, withoutLibrary } from "../../../lib/figures/index.js";
import { currentSignal, html, live, md, notebookRuntime, progress, restoreFigures, show } from "../../../lib/notebook/index.js";
import { durationText, statusText } from "../../../lib/notebook/progress.js";
import { htmlOf, insideNotebook } from "./fake-notebook.js";

const curve = (n: number): ReturnType<typeof lossCurve> =>
  lossCurve([{ name: "loss", y: Array.from({ length: n }, (_, i) => 1 / (i + 1)) }]);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("show", () => {
  test("gives the notebook a figure's every format, and plotly.js only with the first", async () => {
    const shown = await insideNotebook(() => show(curve(3), curve(4)));
    expect(shown).toHaveLength(2);
    expect(Object.keys(shown[0]!.output.data)).toEqual([
      "application/vnd.plotly.v1+json",
      "text/html",
      "image/svg+xml",
      "text/plain",
    ]);
    expect(htmlOf(shown[0]!).length).toBeGreaterThan(600_000);
    expect(htmlOf(shown[0]!).length).toBeLessThan(720_000);
    expect(htmlOf(shown[1]!).length).toBeLessThan(20_000);
  });

  test("restoreFigures brings plotly.js again, and only once", async () => {
    const shown = await insideNotebook(() => {
      show(curve(3));
      restoreFigures();
      show(curve(4));
    });
    expect(shown.map((s) => htmlOf(s).includes("<script data-tweedie-library>"))).toEqual([true, true, false]);
    expect(withoutLibrary(htmlOf(shown[1]!))).toBe("<small>plotly.js for the figures of this notebook</small>");
  });

  test("shows plain values as text and tables as HTML", async () => {
    const columns = { name: ["<b>"], n: [1] } as Record<string, unknown[]>;
    const source = { columnNames: () => Object.keys(columns), array: (name: string) => columns[name]! };
    const shown = await insideNotebook(() => show({ a: 1 }, "text", source));
    expect(shown.map((s) => s.output.data["text/plain"])).toEqual(["{ a: 1 }", "text", "name  n\n────  ─\n<b>   1"]);
    expect(htmlOf(shown[2]!)).toContain("&lt;b&gt;");
  });

  test("holds the place of a value that takes time and fills it in", async () => {
    const slow = { [Symbol.for("Jupyter.display")]: async () => ({ "text/plain": "done" }) };
    const failing = { [Symbol.for("Jupyter.display")]: () => Promise.reject(new Error("no")) };
    const shown = await insideNotebook(async () => {
      show(slow, failing);
      await new Promise((r) => setTimeout(r, 5));
    });
    expect(shown.map((s) => [s.update, s.output.data["text/plain"]])).toEqual([
      [false, "…"],
      [false, "…"],
      [true, "done"],
      [true, "This value could not be shown: Error: no"],
    ]);
    expect(shown[2]!.output.transient).toEqual(shown[0]!.output.transient);
  });

  test("prints text outside any notebook", () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    show(md`a *b*`, 3);
    expect(log.mock.calls).toEqual([["a *b*"], ["3"]]);
  });
});

describe("live", () => {
  test("redraws one output in place, at most twice a second, the last state always", async () => {
    vi.useFakeTimers();
    let n = 1;
    const shown = await insideNotebook(() => {
      const plot = live(() => curve(n));
      for (n = 2; n <= 100; n++) {
        plot.refresh();
        vi.advanceTimersByTime(20);
      }
      n = 100;
      plot.close();
      plot.refresh();
    });
    const [loader, first, ...updates] = shown;
    expect(htmlOf(loader!)).toContain("window.Plotly");
    expect(first!.update).toBe(false);
    expect(updates.length).toBeGreaterThanOrEqual(4);
    expect(updates.length).toBeLessThanOrEqual(6);
    for (const { update, output } of updates) {
      expect(update).toBe(true);
      expect(output.transient).toEqual(first!.output.transient);
    }
    expect(updates.at(-1)!.output.data["text/plain"]).toContain("last values loss");
    expect(shown.slice(1).every((s) => htmlOf(s).length < 50_000)).toBe(true);
  });

  test("does nothing outside a notebook", () => {
    using plot = live(() => {
      throw new Error("drawn");
    });
    expect(() => plot.refresh()).not.toThrow();
  });
});

describe("progress", () => {
  test("counts an iterable, shows a bar once and updates it", async () => {
    const seen: number[] = [];
    const shown = await insideNotebook(() => {
      for (const x of progress([1, 2, 3], { label: "<label>" })) seen.push(x);
    });
    expect(seen).toEqual([1, 2, 3]);
    expect(shown.map((s) => s.update)).toEqual([false, true]);
    expect(htmlOf(shown.at(-1)!)).toContain('value="3" max="3"');
    expect(htmlOf(shown.at(-1)!)).toContain("&lt;label&gt;");
    expect(shown.at(-1)!.output.data["text/plain"]).toMatch(/3 of 3 steps .* in all/);
  });

  test("ends a loop when the cell is interrupted", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    await insideNotebook(async () => {
      async function* forever(): AsyncGenerator<number> {
        for (let i = 0; ; i++) yield i;
      }
      const loop = async (): Promise<void> => {
        for await (const i of progress(forever())) {
          seen.push(i);
          if (i === 2) controller.abort();
        }
      };
      await expect(loop()).rejects.toThrow(/abort/i);
    }, controller.signal);
    expect(seen).toEqual([0, 1, 2]);
  });

  test("is moved by hand with a note", async () => {
    const shown = await insideNotebook(() => {
      using bar = progress({ total: 10, label: "train", unit: "batches" });
      bar.advance(4, "loss 0.12");
    });
    expect(shown.at(-1)!.output.data["text/plain"]).toMatch(/^train: 4 of 10 batches · .* · loss 0.12$/);
  });

  test("writes rate and time left from what is done", () => {
    expect(statusText(50, { total: 200 }, 10, false)).toBe("50 of 200 steps · 5 per s · 30 s left");
    expect(statusText(2, {}, 10, true, "x")).toBe("2 steps · 5 s each · 10 s in all · x");
    expect([9.94, 59.6, 75, 3700].map(durationText)).toEqual(["9.9 s", "1 min 0 s", "1 min 15 s", "1 h 2 min"]);
  });
});

describe("markup", () => {
  test("md escapes text that is put in, rounds numbers, keeps other md pieces", () => {
    const inner = md`**bold**`;
    expect(
      md`# Title
      a ${"*x* <img> [l](u)"} b ${0.123456} c ${inner}`.markdown,
    ).toBe("# Title\na \\*x\\* &lt;img&gt; \\[l\\]\\(u\\) b 0.1235 c **bold**");
  });

  test("html escapes text in content and attributes, keeps other html pieces", () => {
    const inner = html`<i>${"<&>"}</i>`;
    const block = html`<p title="${'" onclick="x'}">${inner}${["a<", "b"]}</p>`;
    expect(block.html).toBe('<p title="&quot; onclick=&quot;x"><i>&lt;&amp;&gt;</i>a&lt;b</p>');
    expect(html`<!-- ${"-->"} --><textarea>${"</textarea>"}</textarea><br a=b c='${"'"}'>${1}`.html).toBe(
      "<!-- --&gt; --><textarea>&lt;/textarea&gt;</textarea><br a=b c='&#39;'>1",
    );
    expect(html`<a href="${"page.html#x"}"><img src="${"data:image/png;base64,AA"}"></a>`.html).toBe(
      '<a href="page.html#x"><img src="data:image/png;base64,AA"></a>',
    );
  });

  const text = "x onclick=attacked=1";
  test.each<readonly [string, () => unknown, RegExp]>([
    ["an attribute without quotes", () => html`<p class=${text}>`, /put quotes around it: title="…"/],
    ["the rest of one", () => html`<p class=a${text}>`, /put quotes around it/],
    ["a tag", () => html`<p ${text}>`, /write tags and names of attributes out/],
    ["a tag's name", () => html`<${text}>`, /write tags and names of attributes out/],
    ["a script", () => html`<b>a</b><script>let a = "<p>${text}"</script>`, /scripts and style sheets read no text/],
    ["a style sheet", () => html`<STYLE media="all">p { color: ${text} }</STYLE>`, /scripts and style sheets read no text/],
    ["a handler", () => html`<p OnClick = "f('${text}')">`, /scripts and style sheets read no text/],
    ["a document in an attribute", () => html`<iframe srcdoc="${text}">`, /scripts and style sheets read no text/],
    ["an address", () => html`<a title=">" href="${" java\tscript:attacked=1"}">`, /href expected one value with an address/],
    [
      "an address in two parts",
      () => html`<a href='${"javascript"}${":attacked=1"}'>`,
      /href expected one value with an address/,
    ],
    ["the end of an address", () => html`<a href="java${"script:attacked=1"}">`, /href expected one value with an address/],
  ])("html refuses text that would run in %s", (_, make, message) => {
    expect(make).toThrow(message);
    expect(make).toThrow(TypeError);
  });

  test("html reads on rightly after what it lets pass", () => {
    const block = html`<p a=1 b="${"'"}" c>${"<"}</p><script>if (a < b) f("<p x=")</script><i title='${">"}'>${2}</i>`;
    expect(block.html).toBe(`<p a=1 b="&#39;" c>&lt;</p><script>if (a < b) f("<p x=")</script><i title='&gt;'>2</i>`);
  });
});

test("outside a notebook there is no runtime and no signal", () => {
  expect(notebookRuntime()).toBeUndefined();
  expect(currentSignal()).toBeUndefined();
});

test("currentSignal is the running cell's", async () => {
  const { signal } = new AbortController();
  await insideNotebook(() => expect(currentSignal()).toBe(signal), signal);
});
