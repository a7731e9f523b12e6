// Checks one device in a process of its own: native code that fails may take the process with it.
import { type Device, listDevices, onnxruntime, RuntimeError } from "../lib/runtime/index.js";
import { checkDevice } from "../lib/train/index.js";
import type { CheckReply } from "./device-checks.js";

const answer = (reply: CheckReply): void => {
  process.send!(reply, () => process.exit());
};

const device = process.argv[2] as Device;
try {
  if ((await listDevices()).includes(device)) answer({ check: await checkDevice(device) });
  else answer({ error: onnxruntime.explain?.(device, "") || "this build of ONNX Runtime does not offer it" });
} catch (error) {
  answer({ error: error instanceof RuntimeError ? error.detail : String(error) });
}
