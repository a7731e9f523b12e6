import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { moduleScopesOf, moduleTree, UnknownHookPointError } from "../../../lib/hooks/index.js";
import { decodeModel, type Graph, type Node } from "../../../lib/onnx/index.js";
import { toyUnet } from "./toy-unet.js";

const tree = moduleTree(toyUnet().graph, { opset: 18, inputShapes: { sample: [1, 2, 2, 2] } });
const paths = (pattern: string): string[] => tree.find(pattern).map((p) => p.path);

describe("moduleTree", () => {
  it("finds the modules in node names", () => {
    expect(tree.modules().map((m) => m.path)).toEqual([
      "",
      "conv_in",
      "down_blocks.0",
      "down_blocks.0.resnets.0",
      "down_blocks.0.downsamplers.0",
      "mid_block",
      "up_blocks.0",
      "conv_out",
    ]);
  });
  it("takes the last value that leaves a module for its output and the others for residuals", () => {
    expect(tree.find("down_blocks.0")[0]).toMatchObject({
      value: "/down_blocks.0/downsamplers.0/Mul_output_0",
      axes: ["batch", "channel", "y", "x"],
      shape: [1, 2, 2, 2],
    });
    expect(tree.find("down_blocks.0:res0")[0]?.value).toBe("/down_blocks.0/resnets.0/Add_output_0");
    expect(tree.find("mid_block")[0]?.value).toBe("/mid_block/Neg_output_0");
  });
  it("counts each weight once and leaves shape arithmetic out of the operators", () => {
    const [model, , down] = tree.modules();
    expect(model?.parameters).toBe(6);
    expect(down).toMatchObject({ parameters: 2, operators: { Add: 1, Mul: 1 } });
    expect(tree.modules().find((m) => m.path === "mid_block")?.operators).toEqual({ Neg: 1 });
  });
  it("names inputs, outputs and inner values too", () => {
    expect(tree.find("sample")[0]?.kind).toBe("input");
    expect(tree.find("out_sample")[0]?.kind).toBe("output");
    expect(tree.find("/mid_block/Neg_output_0")[0]?.kind).toBe("value");
  });
  it("matches * within a segment and ** over segments", () => {
    expect(paths("down_blocks.*")).toEqual(["down_blocks.0"]);
    expect(paths("**.resnets.0")).toEqual(["down_blocks.0.resnets.0"]);
    expect(paths("down_blocks.**")).toEqual(["down_blocks.0", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0"]);
    expect(paths("conv_*")).toEqual(["conv_in", "conv_out"]);
    expect(paths("down_blocks.0:res*")).toEqual(["down_blocks.0:res0", "down_blocks.0:res1"]);
  });
  it("matches alternatives, and what follows a colon where the pattern tells it", () => {
    expect(paths("{conv_in,mid_block}")).toEqual(["conv_in", "mid_block"]);
    expect(paths("**.{resnets,downsamplers}.0")).toEqual(["down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0"]);
    expect(paths("{down,up}_blocks.*:in")).toEqual(["down_blocks.0:in", "up_blocks.0:in"]);
    expect(paths("up_blocks.0:in*")).toEqual(["up_blocks.0:in", "up_blocks.0:in1"]);
    expect(paths("**:update")).toEqual(tree.modules().flatMap((m) => (m.path === "" ? [] : [`${m.path}:update`])));
    expect(paths("**").filter((p) => p.includes(":"))).toEqual([]);
    expect(() => tree.find("{conv_in")).toThrow(UnknownHookPointError);
  });
  it("finds inputs of modules in the order of first use, and updates where input and output have one shape", () => {
    expect(tree.find("up_blocks.0:in")[0]).toMatchObject({ kind: "module input", value: "/mid_block/Neg_output_0" });
    expect(tree.find("up_blocks.0:in1")[0]?.value).toBe("/down_blocks.0/resnets.0/Add_output_0");
    expect(tree.find("conv_in:in")[0]?.value).toBe("sample");
    expect(tree.find("mid_block:update")[0]).toMatchObject({
      kind: "update",
      value: "/mid_block/Neg_output_0",
      minus: "/down_blocks.0/downsamplers.0/Mul_output_0",
      shape: [1, 2, 2, 2],
    });
    expect(
      tree
        .modules()
        .find((m) => m.path === "up_blocks.0")
        ?.inputs.map((v) => v.value),
    ).toEqual(["/mid_block/Neg_output_0", "/down_blocks.0/resnets.0/Add_output_0"]);
  });
  it("suggests the nearest names for a pattern without a match", () => {
    expect(() => tree.find("midblock")).toThrow(UnknownHookPointError);
    expect(() => tree.find("midblock")).toThrow(/did you mean "mid_block"/);
    expect(() => tree.find("**.resnet.0")).toThrow(/"\*\*\.resnets\.0"/);
    expect(() => tree.find("mid_blok:in")).toThrow(/did you mean "mid_block:in"/);
    expect(() => tree.find("**:updat")).toThrow(/did you mean "\*\*:update"/);
  });
  it("reads a PyTorch export", () => {
    const model = decodeModel(readFileSync(new URL("../../golden/torch-exports/conv-net-opset17.onnx", import.meta.url)));
    const exported = moduleTree(model.graph, { opset: 17, inputShapes: { image: [2, 3, 8, 8] } });
    expect(exported.root.children.map((m) => [m.path, m.parameters])).toEqual([
      ["stem", 8 * 3 * 9 + 8],
      ["norm", 16],
      ["down", 8 * 8 * 9 + 8],
      ["head", 45],
    ]);
    expect(exported.find("norm")[0]?.shape).toEqual([2, 8, 8, 8]);
  });
});

describe("moduleScopesOf", () => {
  const node = (metadata: Record<string, string>): Node => ({
    opType: "Conv",
    domain: "",
    name: "node_conv2d",
    inputs: [],
    outputs: [],
    attributes: {},
    metadata,
  });
  const expected = [
    { path: "down_blocks.0", className: "DownBlock2D" },
    { path: "down_blocks.0.resnets.0", className: "ResnetBlock2D" },
  ];
  it("reads the dynamo exporter's scope lists", () => {
    expect(
      moduleScopesOf(
        node({
          "pkg.torch.onnx.name_scopes": "['', 'down_blocks.0', 'down_blocks.0.resnets.0@1', 'conv2d']",
          "pkg.torch.onnx.class_hierarchy": "['a.UNet', 'b.DownBlock2D', 'b.ResnetBlock2D', 'aten.conv2d.default']",
        }),
      ),
    ).toEqual(expected);
  });
  it("reads the dynamo exporter's namespace", () => {
    const namespace =
      ": a.UNet/down_blocks.0: b.DownBlock2D/down_blocks.0.resnets.0: b.ResnetBlock2D/conv2d: aten.conv2d.default";
    expect(moduleScopesOf(node({ namespace }))).toEqual(expected);
  });
  it("puts a node without scopes in the root", () => {
    expect(moduleScopesOf(node({}))).toEqual([]);
  });
  it("leads to the same tree as node names do", () => {
    const graph = toyUnet().graph;
    const dynamo: Graph = {
      ...graph,
      nodes: graph.nodes.map((n, i) => {
        const scopes = ["", ...moduleScopesOf(n).map((s) => s.path), "op"];
        return {
          ...n,
          name: `node_${i}`,
          metadata: { "pkg.torch.onnx.name_scopes": `[${scopes.map((s) => `'${s}'`).join(", ")}]` },
        };
      }),
    };
    expect(moduleTree(dynamo, { opset: 18, inputShapes: { sample: [1, 2, 2, 2] } }).root).toEqual(tree.root);
  });
});
