import { type Command, command, EXIT, positive, say, UsageError } from "../command-line.js";

const MARK = { ok: "✓", missing: "·", broken: "✗", unavailable: "·", wrong: "✗", crashed: "✗", late: "·" } as const;

export const doctor: Command = command({
  name: "doctor",
  summary: "checks everything tweedie stands on, says what to do",
  operands: "",
  most: 0,
  examples: [
    ["tweedie doctor", "what is there, what is missing, what to do about it"],
    ["tweedie doctor --install-cuda", "fetch ONNX Runtime's CUDA libraries"],
  ],
  about: `Checks Node.js, the compiler, ONNX Runtime, Jupyter and the kernelspec; then runs and trains a small net on every device
this system may have, each in a process of its own, and compares it with the CPU. Exit code 1 if something must be repaired.`,
  options: {
    json: { help: "findings as JSON" },
    timeout: { short: "t", value: "<seconds>", default: "5", help: "limit per device" },
    "install-cuda": { help: "fetch ONNX Runtime's CUDA libraries, after saying what and from where" },
    yes: { help: "without asking" },
  },
  async run({ values }) {
    if (values["install-cuda"]) return installCuda(values.yes);
    const seconds = positive(values.timeout, "--timeout in seconds");
    const [{ diagnose }, { checkDevices }] = await Promise.all([import("../doctor.js"), import("../device-checks.js")]);
    const findings = await diagnose();
    const devices = await checkDevices(seconds * 1000);
    if (values.json) say(JSON.stringify({ findings, devices }, undefined, 2));
    else {
      const rows = [...findings, ...devices.map(({ device, ...rest }) => ({ what: `device ${device}`, ...rest }))];
      for (const { what, status, detail } of rows) say(`${MARK[status]} ${what.padEnd(18)} ${detail}`);
    }
    const sick = findings.some(({ status }) => status === "broken") || devices.some(({ status }) => status === "wrong");
    return sick || devices.some(({ device, status }) => device === "cpu" && status !== "ok") ? EXIT.failed : EXIT.ok;
  },
});

async function installCuda(yes: boolean): Promise<number> {
  const { cudaInstallation, describeInstallation, runInstaller } = await import("../install-cuda.js");
  const plan = cudaInstallation();
  if (plan === undefined)
    return say(`onnxruntime-node has no CUDA libraries for ${process.platform} on ${process.arch}; nothing to do`);
  process.stdout.write(describeInstallation(plan));
  if (!yes) {
    if (!process.stdin.isTTY) throw new UsageError("doctor: nothing was fetched; --install-cuda --yes does it without asking");
    const { createInterface } = await import("node:readline/promises");
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question("Fetch them? [y/N] ");
    terminal.close();
    if (!/^y(es)?$/i.test(answer.trim())) return say("nothing was fetched");
  }
  return (await runInstaller(plan)) === 0 ? say("Now: tweedie doctor") : EXIT.failed;
}
