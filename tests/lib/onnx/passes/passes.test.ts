import { describe, expect, it } from "vitest";
import type { Graph } from "../../../../lib/onnx/graph.js";
import { cut, eliminateDeadCode, expose, readsOf, rename, splice, subgraphsOf } from "../../../../lib/onnx/passes/index.js";
import { branchingGraph, deepFreeze, node } from "./small-graphs.js";

const graph: Graph = deepFreeze(branchingGraph());
const ops = (g: Graph): string[] => g.nodes.map((n) => n.opType);
const double = (value: string, fresh: (hint: string) => string) => {
  const output = fresh("doubled");
  return { nodes: [node("Add", [value, value], [output])], output };
};

describe("expose", () => {
  it("adds an inner value behind the outputs, with its recorded shape", () => {
    expect(expose(["h"])(graph).outputs).toEqual([...graph.outputs, { name: "h", dtype: "float32", shape: [3] }]);
  });
  it("does not add an output twice", () => {
    expect(expose(["y", "h", "h"])(graph).outputs.map((o) => o.name)).toEqual(["y", "z", "h"]);
  });
  it("refuses a value that only a subgraph defines", () => {
    expect(() => expose(["t"])(graph)).toThrow(/no value "t"/);
  });
});

describe("splice", () => {
  it("puts the edit between producer and every consumer", () => {
    const edited = splice("h", double)(graph);
    expect(ops(edited)).toEqual(["Add", "Add", "Relu", "If", "Neg"]);
    expect(edited.nodes[0]?.outputs).toEqual(["h:unedited"]);
    expect(edited.nodes[1]).toMatchObject({ inputs: ["h:unedited", "h:unedited"], outputs: ["h"] });
    expect(edited.nodes[2]?.inputs).toEqual(["h"]);
  });
  it("lets the output of that name carry the edited value", () => {
    const edited = splice("y", double)(graph);
    expect(edited.outputs).toEqual(graph.outputs);
    expect(edited.nodes.find((n) => n.outputs.includes("y"))?.inputs).toEqual(["y:unedited", "y:unedited"]);
  });
  it("rewires consumers and subgraph captures of a graph input, whose name stays", () => {
    const captured = rename({ x: "first", w: "x" })({ ...graph, initializers: [], inputs: [...graph.inputs, { name: "w" }] });
    const edited = splice("x", double)(captured);
    expect(edited.inputs.map((v) => v.name)).toEqual(["first", "c", "x"]);
    const branch = edited.nodes.find((n) => n.opType === "If");
    expect(branch && readsOf(branch)).toEqual(new Set(["c", "h", "x:edited"]));
    expect(branch && subgraphsOf(branch)[0]?.nodes[0]?.inputs).toEqual(["h", "x:edited"]);
  });
  it("edits a weight", () => {
    const edited = splice("w", double)(graph);
    expect(edited.initializers.map((w) => w.name)).toEqual(["w:unedited", "v"]);
    expect(edited.nodes[0]).toMatchObject({ opType: "Add", outputs: ["w"] });
  });
  it("applies a second edit to the result of the first", () => {
    const twice = splice("h", double)(splice("h", double)(graph));
    expect(twice.nodes.slice(0, 3).map((n) => n.outputs[0])).toEqual(["h:unedited", "h:unedited.1", "h"]);
  });
  it("copies a result that no node of the edit computes", () => {
    const edited = splice("h", () => ({ nodes: [], output: "given", inputs: [{ name: "given" }] }))(graph);
    expect(edited.nodes[1]).toMatchObject({ opType: "Identity", inputs: ["given"], outputs: ["h"] });
    expect(edited.inputs.map((v) => v.name)).toEqual(["x", "c", "given"]);
  });
  it("refuses a name that does not exist, and an input that is also an output", () => {
    expect(() => splice("nothing", double)(graph)).toThrow(RangeError);
    expect(() => splice("x", double)({ ...graph, outputs: [{ name: "x" }] })).toThrow(/Identity/);
  });
});

describe("cut", () => {
  it("keeps what lies between the values", () => {
    const part = cut(graph, { inputs: ["h"], outputs: ["y"] });
    expect(ops(part)).toEqual(["Relu"]);
    expect(part.inputs).toEqual([{ name: "h", dtype: "float32", shape: [3] }]);
    expect(part.initializers).toEqual([]);
  });
  it("brings along weights that only a subgraph reads", () => {
    const part = cut(graph, { inputs: ["h", "c"], outputs: ["z"] });
    expect(part.initializers.map((w) => w.name)).toEqual(["w"]);
  });
  it("names a graph input that was forgotten", () => {
    expect(() => cut(graph, { inputs: ["h"], outputs: ["z"] })).toThrow(/"c"/);
  });
});

describe("eliminateDeadCode", () => {
  it("drops nodes and weights that no output needs, and keeps what subgraphs capture", () => {
    const lean = eliminateDeadCode(graph);
    expect(ops(lean)).toEqual(["Add", "Relu", "If"]);
    expect(lean.initializers.map((w) => w.name)).toEqual(["w"]);
    expect(lean.valueInfo.map((v) => v.name)).toEqual(["h"]);
  });
  it("cleans subgraphs too", () => {
    const dirty = splice("y", double)(graph);
    const withDeadBody: Graph = {
      ...dirty,
      nodes: dirty.nodes.map((n) =>
        n.opType !== "If"
          ? n
          : {
              ...n,
              attributes: {
                ...n.attributes,
                then_branch: {
                  type: "graph",
                  value: {
                    ...(subgraphsOf(n)[0] as Graph),
                    nodes: [node("Neg", ["v"], ["dead"]), node("Mul", ["h", "w"], ["t"])],
                  },
                },
              },
            },
      ),
    };
    const lean = eliminateDeadCode(withDeadBody);
    expect(lean.initializers.map((w) => w.name)).toEqual(["w"]);
  });
});

describe("rename", () => {
  it("renames the definition and every read, in subgraphs as well", () => {
    const renamed = rename({ h: "hidden", y: "out" })(graph);
    expect(renamed.outputs.map((o) => o.name)).toEqual(["out", "z"]);
    const branch = renamed.nodes[2];
    expect(branch && readsOf(branch)).toEqual(new Set(["c", "hidden", "w"]));
  });
  it("refuses a name that is taken", () => {
    expect(() => rename({ h: "w" })(graph)).toThrow(/taken/);
  });
});
