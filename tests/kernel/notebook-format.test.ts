import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { formatNotebook, parseNotebook, readNotebook, writeFileAtomic } from "../../kernel/notebook-format.js";
import { OutputCollector } from "../../kernel/output-collector.js";
import { temporaryFolder } from "./compiled.js";

const notebook = (cells: object[], rest: object = {}): string =>
  JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 2, ...rest });
const code = (source: string | string[], rest: object = {}): object => ({
  cell_type: "code",
  metadata: {},
  execution_count: null,
  outputs: [],
  source,
  ...rest,
});

test("texts may be strings or lists of lines, and are written as lists of lines", () => {
  const outputs = [
    { output_type: "stream", name: "stdout", text: ["a\n", "b"] },
    { output_type: "display_data", data: { "text/html": ["<b>\n", "</b>"], "application/json": [1, 2] }, metadata: {} },
  ];
  const parsed = parseNotebook(
    notebook([code(["x\n", "y"], { outputs, id: "one" }), { cell_type: "markdown", metadata: {}, source: "# T" }]),
  );
  expect(parsed.cells[0]).toMatchObject({
    id: "one",
    source: "x\ny",
    outputs: [{ text: "a\nb" }, { data: { "text/html": "<b>\n</b>" } }],
  });
  const written = JSON.parse(formatNotebook(parsed));
  expect(written.cells[0]).toMatchObject({ source: ["x\n", "y"], outputs });
  expect(written).toMatchObject({ nbformat: 4, nbformat_minor: 5 });
});

test("cells without an id, with a bad one or with another cell's get their own", () => {
  const { cells } = parseNotebook(
    notebook([code("a"), code("b", { id: "same" }), code("c", { id: "same" }), code("d", { id: "not valid!" })]),
  );
  expect(cells[1]?.id).toBe("same");
  expect(new Set(cells.map(({ id }) => id)).size).toBe(4);
  for (const { id } of cells) expect(id).toMatch(/^[\w-]{1,64}$/);
});

describe("a file that is not a notebook is refused with the reason", () => {
  test.each([
    ["not JSON", /^n\.ipynb: expected a notebook, got text that is not JSON/],
    ["[]", /expected a notebook with a list of cells/],
    [notebook([], { nbformat: 3 }), /expected nbformat 4, got 3/],
    [notebook([code("ok"), { cell_type: "table", source: "" }]), /cell 2: expected cell_type code, markdown or raw, got table/],
    [notebook([{ cell_type: "code" }]), /cell 1: expected source text/],
    [notebook([code("", { outputs: [{ output_type: "sound" }] })]), /cell 1: expected output_type .* got sound/],
  ])("%s", (text, message) => {
    expect(() => parseNotebook(text, "n.ipynb")).toThrow(message);
  });

  test("a missing file", () => {
    expect(() => readNotebook("no/such.ipynb")).toThrow(/cannot read no\/such\.ipynb/);
  });
});

test("an atomic write leaves the whole text or nothing behind", () => {
  const folder = temporaryFolder();
  const file = path.join(folder, "a.txt");
  writeFileAtomic(file, "whole");
  expect(readFileSync(file, "utf8")).toBe("whole");
  expect(() => writeFileAtomic(path.join(folder, "missing", "b.txt"), "x")).toThrow(/ENOENT/);
  expect(readdirSync(folder)).toEqual(["a.txt"]);
  expect(existsSync(path.join(folder, "missing"))).toBe(false);
});

describe("collected outputs", () => {
  const cell = () =>
    parseNotebook(notebook([code("")])).cells[0] as Extract<
      ReturnType<typeof parseNotebook>["cells"][number],
      { cell_type: "code" }
    >;
  const display = (text: string, id?: string) =>
    ({ type: "display_data", data: { "text/plain": text }, metadata: {}, transient: id ? { display_id: id } : {} }) as const;

  test("neighbouring writes to one stream become one output", () => {
    const c = cell();
    const outputs = new OutputCollector();
    for (const [name, text] of [
      ["stdout", "a"],
      ["stdout", "b"],
      ["stderr", "c"],
      ["stdout", "d"],
    ] as const)
      outputs.add(c, { type: "stream", name, text });
    expect(c.outputs.map((output) => "text" in output && output.text)).toEqual(["ab", "c", "d"]);
  });

  test("an update reaches every display with its id, in any cell, and adds none", () => {
    const [one, two] = [cell(), cell()];
    const outputs = new OutputCollector();
    outputs.add(one, display("old", "id"));
    outputs.add(two, display("old", "id"));
    outputs.add(two, display("other"));
    outputs.add(two, { ...display("new", "id"), type: "update_display_data" });
    const texts = [...one.outputs, ...two.outputs].map((output) => "data" in output && output.data["text/plain"]);
    expect(texts).toEqual(["new", "new", "other"]);
    expect(one.outputs[0]).not.toHaveProperty("transient");
  });

  test("clearing happens at once, or with wait when the next output comes", () => {
    const c = cell();
    const outputs = new OutputCollector();
    outputs.add(c, display("a"));
    outputs.add(c, { type: "clear_output", wait: true });
    expect(c.outputs).toHaveLength(1);
    outputs.add(c, display("b"));
    expect(c.outputs.map((output) => "data" in output && output.data["text/plain"])).toEqual(["b"]);
    outputs.add(c, { type: "clear_output", wait: false });
    expect(c.outputs).toEqual([]);
  });
});
