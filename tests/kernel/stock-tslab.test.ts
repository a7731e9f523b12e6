import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PACKAGE_ROOT } from "../../kernel/package-root.js";
import { temporaryFolder } from "./compiled.js";
import { JupyterClient } from "./jupyter-client.js";

// tslab as it comes from the registry: its own program, its own fork of TypeScript 5.0, classic resolution, no strictness.
const TSLAB = createRequire(import.meta.url).resolve("tslab/bin/tslab");

/** Folders of lib/, each of which can be imported as `tweedie/<folder>`. */
const ENTRY_POINTS = readdirSync(path.join(PACKAGE_ROOT, "lib"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

describe("under stock tslab, in a project that has tweedie among its packages,", () => {
  const project = temporaryFolder();
  let client: JupyterClient;

  beforeAll(async () => {
    mkdirSync(path.join(project, "node_modules"));
    symlinkSync(PACKAGE_ROOT, path.join(project, "node_modules", "tweedie"), "dir");
    client = await JupyterClient.start(project, (file) => [TSLAB, "kernel", "--config-path", file]);
  });
  afterAll(() => client?.process.kill("SIGKILL"));

  async function run(code: string): Promise<{ status: string; stdout: string; stderr: string; displays: object[] }> {
    const { reply, published } = await client.execute(code);
    // For a moment after an error it drops whatever else it is sent.
    if (reply.content.status !== "ok") await new Promise((resolve) => setTimeout(resolve, 500));
    const text = (name: string) =>
      published
        .filter(({ type, content }) => type === "stream" && content.name === name)
        .map(({ content }) => content.text)
        .join("");
    const displays = published.filter(({ type }) => type === "display_data").map(({ content }) => content.data);
    return { status: reply.content.status, stdout: text("stdout"), stderr: text("stderr"), displays };
  }

  test("the package, its layers and the embedded world can be imported", async () => {
    const imported = await run(`
      import { load, show } from "tweedie";
      import { float32 } from "tweedie/tensor";
      import { shapes } from "tweedie/shapes";
      console.log(float32([1, 2, 3], [3]).shape, shapes.includes("circle"));`);
    expect(imported).toEqual({ status: "ok", stdout: "[ 3 ] true\n", stderr: "", displays: [] });
  });

  test("the embedded model generates, and the picture is shown", async () => {
    const { status, stderr, displays } = await run(`
      const pipe = await load("shapes");
      show(await pipe.generate("a large red circle", { steps: 2, seed: 1 }));`);
    expect({ status, stderr }).toEqual({ status: "ok", stderr: "" });
    expect(JSON.stringify(displays)).toMatch(/image\/png|data:image\/png/);
    expect(JSON.stringify(displays)).toContain("<script data-tweedie-library>");
  });

  test("hooks, captured activations and edits work", async () => {
    const { status, stdout, stderr } = await run(`
      import { at, collect } from "tweedie";
      const captured = await pipe.generate("a circle", { steps: 2, seed: 1, capture: ["mid_block"] });
      const edited = await pipe.with(at("mid_block").scale(0)).generate("a circle", { steps: 2, seed: 1 });
      const moved = captured.finalLatents.data.some((v, i) => v !== edited.finalLatents.data[i]);
      const acts = await collect(pipe, ["a circle"], { at: "mid_block", steps: 2, seeds: [1] });
      console.log(Object.keys(captured.activations), moved, acts.count > 0);`);
    expect({ status, stderr }).toEqual({ status: "ok", stderr: "" });
    expect(stdout).toMatch(/^\[ 'mid_block' \] true true$/m);
  });

  test("figures, tables, tensors, sound and widgets are shown; plotly.js comes once", async () => {
    const { status, stderr, displays } = await run(`
      import { audio, interact, lossCurve, table } from "tweedie";
      show(lossCurve([{ name: "loss", y: [3, 2, 1] }]), table({ a: [1, 2] }), captured.finalLatents, audio([0, 1, 0], 8000));
      show(lossCurve([{ name: "again", y: [1] }]));
      await interact({ k: [0, 2, 1] }, ({ k }) => lossCurve([{ name: "l", y: [1, k] }]), { precompute: 3 });`);
    expect({ status, stderr }).toEqual({ status: "ok", stderr: "" });
    const html = displays.map((data) => String((data as Record<string, unknown>)["text/html"]));
    // The picture above has brought it.
    expect(html.filter((text) => text.includes("<script data-tweedie-library>"))).toEqual([]);
    for (const part of ["tweedie-figure", "tweedie-table", "Tensor float32 [1, ", "audio/wav", "data-frame"])
      expect(html.join("\n")).toContain(part);
  });

  test("a wrong type does not compile", async () => {
    for (const [code, message] of [
      ["const picture: string = await pipe.generate('a circle');", "Type 'Generation' is not assignable to type 'string'"],
      ["const flag: boolean = float32([1], [1]).shape;", "is not assignable to type 'boolean'"],
      ["await interact({ k: [0, 2] }, ({ k }) => k.length);", "Property 'length' does not exist on type 'number'"],
      ["await pipe.generate('a circle', { stepz: 5 });", "'stepz' does not exist in type 'GenerateOptions'"],
    ] as const)
      expect(await run(code)).toMatchObject({ status: "error", stderr: expect.stringContaining(message) });
  });

  // Declarations that an old compiler does not understand become `any` without a word.
  const holes = `
    type IsAny<T> = 0 extends 1 & T ? true : false;
    type Made<F> = F extends abstract new (...args: never) => infer I ? I : F extends (...args: never) => infer R ? Awaited<R> : F;
    type Untyped<T> = T extends AbortSignal ? never
      : T extends readonly (infer E)[] ? (true extends IsAny<E> ? "[]" : never)
      : T extends object ? { [K in keyof T]-?: true extends IsAny<T[K]> | IsAny<Made<T[K]>> ? K : never }[keyof T]
      : never;
    type Holes<M> = { [K in keyof M]: true extends IsAny<M[K]> | IsAny<Made<M[K]>> ? K : Untyped<Made<M[K]>> extends never ? never : [K, Untyped<Made<M[K]>>] }[keyof M];`;

  test.each(["tweedie", "tweedie/shapes", ...ENTRY_POINTS.map((name) => `tweedie/${name}`)])(
    "nothing that %s exports is any",
    async (name) => {
      const { status, stderr } = await run(`
      import * as exported from "${name}";${holes}
      const none: never = null as unknown as Holes<typeof exported>;`);
      expect({ status, stderr }).toEqual({ status: "ok", stderr: "" });
    },
  );

  test("an any among the exports would be seen", async () => {
    for (const exported of [
      "{ hole: any }",
      "{ hole(): any }",
      "{ hole: new () => { at: any } }",
      "{ hole(): Promise<any[]> }",
    ]) {
      const { stderr } = await run(`${holes}\nconst none: never = null as unknown as Holes<${exported}>;`);
      expect(stderr, exported).toContain("is not assignable to type 'never'");
    }
  });
});
