import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeModel, encodeModel, saveModel } from "../../lib/onnx/index.js";
import { type Bench, compared, inTurns, type Measurement, timed, withFolder } from "./bench.js";
import { bigUNet } from "./big-unet.js";

const rounds = 15;

/**
 * Decoding and encoding a model of 100 MB. No other implementation is at hand, so the measure is what must be done anyway:
 * copying the bytes once. Decoding leaves the weights where they are and beats that; encoding is one copy.
 */
export const codec: Bench = {
  name: "codec",
  run: () =>
    withFolder(async (folder) => {
      const file = join(folder, "model.onnx");
      await saveModel(bigUNet(), file);
      const bytes = readFileSync(file);
      const model = decodeModel(bytes);
      if (!bytes.equals(encodeModel(model))) throw new Error("codec: decoding and encoding did not give the same bytes");
      const times = await inTurns(rounds, {
        copy: () => timed(() => new Uint8Array(bytes)),
        read: () => timed(() => readFileSync(file)),
        decode: () => timed(() => decodeModel(bytes)),
        encode: () => timed(() => encodeModel(model)),
      });
      const size = `${(bytes.length / 1e6).toFixed(0)} MB`;
      return [
        { name: `decode ${size}`, ...compared(times.decode, times.read), against: "reading the file" },
        { name: `encode ${size}`, ...compared(times.encode, times.copy), against: "copying the bytes" },
      ] satisfies Measurement[];
    }),
};
