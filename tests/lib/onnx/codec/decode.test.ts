import { describe, expect, test } from "vitest";
import { WireWriter } from "../../../../lib/onnx/codec/wire-writer.js";
import {
  type Attribute,
  decodeModel,
  encodeModel,
  type Graph,
  initializerOf,
  type Model,
  ModelFormatError,
  toAttributes,
} from "../../../../lib/onnx/index.js";
import { arrayFromBytes, float32, scalar } from "../../../../lib/tensor/index.js";
import { leakyModel } from "./leaky-model.js";

/** A message from fields in the order given. */
function message(write: (w: WireWriter) => void): WireWriter {
  const w = new WireWriter();
  write(w);
  return w;
}

/** A model of one graph, whose fields `write` gives. */
function modelOf(write: (graph: WireWriter) => void): Uint8Array {
  return message((w) => {
    w.int(1, 9);
    w.message(7, message(write));
  }).finish();
}

function modelWithTensor(write: (tensor: WireWriter) => void): Uint8Array {
  return modelOf((g) => g.message(5, message(write)));
}

function elementsOf(bytes: Uint8Array): unknown[] {
  const { dtype, data } = decodeModel(bytes).graph.initializers[0]!;
  if (data.kind !== "bytes") throw new TypeError("expected bytes");
  return [...(arrayFromBytes(dtype, data.bytes) as Iterable<number | bigint>)];
}

function packed(...varints: number[]): Uint8Array {
  return Uint8Array.from(varints);
}

describe("decodeModel", () => {
  test("gives back what was encoded", () => {
    expect(decodeModel(encodeModel(leakyModel))).toEqual(leakyModel);
  });

  test("gives back every kind of attribute", () => {
    const attributes: Record<string, Attribute> = {
      ...toAttributes({
        axis: -1,
        mode: "nearest ✓",
        perm: [0, 2, 1],
        names: ["a", ""],
        value: scalar(3, "int64"),
        body: leakyModel.graph,
      }),
      far: { type: "int", value: Number.MIN_SAFE_INTEGER },
      scales: { type: "floats", value: [0.5, -2] },
      bodies: { type: "graphs", value: [leakyModel.graph, leakyModel.graph] },
      none: { type: "ints", value: [] },
      ["__proto__"]: { type: "float", value: 1.5 },
    };
    const node = { ...leakyModel.graph.nodes[0]!, attributes };
    const back = decodeModel(encodeModel({ ...leakyModel, graph: { ...leakyModel.graph, nodes: [node] } }));
    expect(back.graph.nodes[0]!.attributes).toEqual(attributes);
    expect(Object.keys(back.graph.nodes[0]!.attributes)).toContain("__proto__");
  });

  test("weights are views of the file's bytes", () => {
    const bytes = encodeModel(leakyModel);
    const [w] = decodeModel(bytes).graph.initializers;
    expect(w!.data.kind === "bytes" && w!.data.bytes.buffer === bytes.buffer).toBe(true);
  });

  test("an int64 beyond 2^53 becomes the nearest safe integer and encodes unchanged", () => {
    const bytes = modelOf((g) => {
      const most = Uint8Array.of(3 * 8, ...new Array(8).fill(255), 127);
      const attribute = message((a) => {
        a.string(1, "end");
        a.raw(most);
        a.int(20, 2);
      });
      g.message(
        1,
        message((n) => n.message(5, attribute)),
      );
    });
    const model = decodeModel(bytes);
    expect(model.graph.nodes[0]!.attributes.end).toEqual({ type: "int", value: Number.MAX_SAFE_INTEGER });
    const { graph } = model;
    const again = encodeModel({ ...model, graph: { ...graph, nodes: [{ ...graph.nodes[0]!, name: "n" }] } });
    expect(Buffer.from(again).includes(Buffer.of(24, 255, 255, 255, 255, 255, 255, 255, 255, 127))).toBe(true);
  });

  test.each([
    ["float32", 1, 4, Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 192), [1, -2]],
    ["float16", 10, 5, packed(0x80, 0x78, 0x00), [0x3c00, 0]],
    ["int8", 3, 5, packed(255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 5), [-1, 5]],
    ["bool", 9, 5, packed(1, 0), [1, 0]],
    ["int32", 6, 5, packed(0x80, 0x80, 0x04, 7), [65536, 7]],
    ["int64", 7, 7, packed(255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 9), [-1n, 9n]],
    ["float64", 11, 10, new Uint8Array(Float64Array.of(0.1, -3).buffer), [0.1, -3]],
    ["uint32", 12, 11, packed(255, 255, 255, 255, 15, 2), [4294967295, 2]],
    ["uint64", 13, 11, packed(255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 3), [2n ** 64n - 1n, 3n]],
  ])("a %s tensor is read from its typed field", (dtype, code, field, data, elements) => {
    const bytes = modelWithTensor((t) => {
      t.int(1, 2);
      t.int(2, code);
      t.bytes(field, data);
    });
    expect(decodeModel(bytes).graph.initializers[0]!.dtype).toBe(dtype);
    expect(elementsOf(bytes)).toEqual(elements);
  });

  test("typed fields are read unpacked too", () => {
    const bytes = modelWithTensor((t) => {
      t.bytes(1, packed(2, 1));
      t.int(2, 1);
      t.float(4, 0.25);
      t.float(4, 4);
    });
    expect(elementsOf(bytes)).toEqual([0.25, 4]);
    expect(decodeModel(bytes).graph.initializers[0]!.shape).toEqual([2, 1]);
  });

  test("an external tensor stays a reference", () => {
    const external = { kind: "external", location: "w.bin", offset: 64, length: 16 } as const;
    const graph = { ...leakyModel.graph, initializers: [{ ...leakyModel.graph.initializers[0]!, data: external }] };
    expect(decodeModel(encodeModel({ ...leakyModel, graph })).graph.initializers[0]!.data).toEqual(external);
  });

  test("the attribute's field tells its type where the type is left out", () => {
    const attribute = message((a) => {
      a.string(1, "axis");
      a.int(3, 2);
    });
    const bytes = modelOf((g) =>
      g.message(
        1,
        message((n) => n.message(5, attribute)),
      ),
    );
    expect(decodeModel(bytes).graph.nodes[0]!.attributes).toEqual({ axis: { type: "int", value: 2 } });
  });
});

describe("encodeModel after decodeModel", () => {
  /** A model full of what the graph values do not show. */
  const rich = message((w) => {
    w.string(6, "model doc");
    w.message(
      7,
      message((g) => {
        g.string(10, "graph doc");
        g.message(
          1,
          message((n) => {
            n.string(4, "Relu");
            n.string(6, "node doc");
            n.string(1, "x");
            n.string(2, "y");
            n.string(8, "overload");
            n.message(
              5,
              message((a) => {
                a.int(20, 13);
                a.bytes(14, packed(10, 0));
                a.string(1, "type");
              }),
            );
          }),
        );
        g.message(
          5,
          message((t) => {
            t.string(8, "labels");
            t.int(1, 1);
            t.int(2, 8);
            t.string(6, "a string element");
          }),
        );
        g.message(
          11,
          message((v) => {
            v.string(1, "sequence");
            v.bytes(2, packed(34, 0));
          }),
        );
        g.message(
          14,
          message((q) => q.string(1, "quantized")),
        );
        g.message(
          15,
          message(() => {}),
        );
      }),
    );
    w.message(
      8,
      message((o) => o.int(2, 17)),
    );
    w.message(
      25,
      message((f) => f.string(1, "local function")),
    );
    w.int(1, 8);
  }).finish();

  test("an untouched model has the same bytes", () => {
    expect(Buffer.compare(encodeModel(decodeModel(rich)), rich)).toBe(0);
  });

  test("what the graph values do not show survives when every level is rebuilt", () => {
    const { graph, ...model } = decodeModel(rich);
    const rebuilt: Model = {
      ...model,
      graph: {
        ...graph,
        nodes: graph.nodes.map((n) => ({ ...n, attributes: { ...n.attributes } })),
        inputs: graph.inputs.map((i) => ({ ...i, name: "renamed" })),
      },
    };
    const text = Buffer.from(encodeModel(rebuilt)).toString("latin1");
    for (const kept of [
      "model doc",
      "graph doc",
      "node doc",
      "overload",
      "a string element",
      "quantized",
      "local function",
      "\u0012\u0002\u0022\u0000",
      "\u0072\u0002\u000a\u0000",
    ]) {
      expect(text).toContain(kept);
    }
    expect(decodeModel(encodeModel(rebuilt))).toEqual(rebuilt);
  });

  test("an attribute under another name is written with that name", () => {
    const model = decodeModel(encodeModel(leakyModel));
    const node = model.graph.nodes[2]!;
    const renamed = { ...node, attributes: { beta: node.attributes.alpha! } };
    const back = decodeModel(encodeModel({ ...model, graph: { ...model.graph, nodes: [renamed] } }));
    expect(Object.keys(back.graph.nodes[0]!.attributes)).toEqual(["beta"]);
  });

  test("untouched nodes keep their bytes when another node changes", () => {
    const model = decodeModel(rich);
    const extra = leakyModel.graph.nodes[0]!;
    const bytes = encodeModel({ ...model, graph: { ...model.graph, nodes: [...model.graph.nodes, extra] } });
    const text = Buffer.from(bytes).toString("latin1");
    // op_type before input, as in the source and as no encoder of ours writes it.
    expect(text).toContain("\u0022\u0004Relu\u0032\u0008node doc\u000a\u0001x");
  });
});

describe("decodeModel refuses", () => {
  function refusal(bytes: Uint8Array): ModelFormatError {
    try {
      decodeModel(bytes, "model.onnx");
    } catch (error) {
      if (error instanceof ModelFormatError) return error;
      throw error;
    }
    throw new Error("expected a ModelFormatError");
  }

  test("a truncated file, saying where and what was missing", () => {
    const bytes = encodeModel(leakyModel);
    const error = refusal(bytes.subarray(0, bytes.length - 1));
    expect(error.message).toMatch(/expected \d+ bytes in field \d+, got \d+.* at byte \d+ \(model\.onnx\)/);
    expect(error.path).toBe("model.onnx");
    expect(error.offset).toBeGreaterThan(0);
  });

  test("no bytes at all", () => {
    expect(refusal(new Uint8Array()).message).toMatch(/expected a model with a graph/);
  });

  test("a length beyond the file, without allocating it", () => {
    expect(refusal(Uint8Array.of(7 * 8 + 2, 255, 255, 255, 255, 127)).message).toMatch(/expected 34359738367 bytes in field 7/);
  });

  test("a tensor whose bytes do not fill its shape", () => {
    const bytes = modelWithTensor((t) => {
      t.int(1, 2 ** 40);
      t.int(2, 1);
      t.string(8, "w");
      t.bytes(9, new Uint8Array(8));
    });
    expect(refusal(bytes).message).toMatch(/tensor "w" float32\[1099511627776\] to hold 4398046511104 bytes, got 8/);
  });

  test("a negative dimension", () => {
    const bytes = modelWithTensor((t) => {
      t.int(1, -1);
      t.int(2, 1);
    });
    expect(refusal(bytes).message).toMatch(/dimensions ≥ 0, got \[-1\]/);
  });

  test("graphs nested without end", () => {
    let graph: Graph = { name: "", nodes: [], initializers: [], inputs: [], outputs: [], valueInfo: [] };
    for (let depth = 0; depth < 40; depth++) {
      const node = { opType: "If", domain: "", name: "", inputs: [], outputs: [], attributes: toAttributes({ body: graph }) };
      graph = { ...graph, nodes: [node] };
    }
    expect(refusal(encodeModel({ ...leakyModel, graph })).message).toMatch(/nested at most 32 deep/);
  });
});

test("2000 random mutations of a model decode or are refused, quickly", () => {
  // A multiplicative generator (Park and Miller 1988) is random enough to choose bytes.
  let state = 20_240_601;
  const below = (n: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
  const inner = initializerOf("c", float32([1, 2, 3]));
  const node = { ...leakyModel.graph.nodes[2]!, attributes: toAttributes({ body: leakyModel.graph, perm: [1, 0], mode: "m" }) };
  const seed = encodeModel({
    ...leakyModel,
    graph: { ...leakyModel.graph, nodes: [...leakyModel.graph.nodes, node], initializers: [inner] },
  });
  const start = performance.now();
  let refused = 0;
  for (let trial = 0; trial < 2000; trial++) {
    const bytes = below(4) === 0 ? seed.slice(0, below(seed.length)) : seed.slice();
    for (let k = 0; k <= below(4) && bytes.length > 0; k++) bytes[below(bytes.length)] = below(256);
    try {
      encodeModel({ ...decodeModel(bytes) });
    } catch (error) {
      if (!(error instanceof ModelFormatError)) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(500);
  expect(performance.now() - start).toBeLessThan(20_000);
});
