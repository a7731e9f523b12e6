import type { Model } from "../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../lib/program/builder.js";
import { float32, toFloat16 } from "../../../lib/tensor/index.js";

/**
 * A U-Net in outline whose every activation is known: with x the input,
 * conv_in 2x, down_blocks.0 6x+3 (residual 2x+1), mid_block −6x−3, up_blocks.0 −4x−2, output −40x−20.
 */
export function toyUnet(opset = 18, dtype: "float32" | "float16" = "float32"): Model {
  const g = new GraphBuilder({ name: "toy", opset });
  const x = g.input("sample", dtype, ["batch", 2, 2, 2]);
  const weight = (name: string, value: number) => {
    const tensor = float32([value, value], [2, 1, 1]);
    return g.constant(dtype === "float16" ? toFloat16(tensor) : tensor, name);
  };
  const stem = g.scope("conv_in", () => x.mul(weight("conv_in.weight", 2)));
  const [residual, down] = g.scope("down_blocks.0", () => {
    const r = g.scope("resnets.0", () => stem.add(weight("down_blocks.0.resnets.0.bias", 1)));
    return [r, g.scope("downsamplers.0", () => r.mul(3))] as const;
  });
  const middle = g.scope("mid_block", () => {
    g.op("Shape", [down]);
    return down.neg();
  });
  const up = g.scope("up_blocks.0", () => middle.add(residual));
  g.output(
    g.scope("conv_out", () => up.mul(weight("conv_out.weight", 10))),
    "out_sample",
  );
  return g.model();
}
