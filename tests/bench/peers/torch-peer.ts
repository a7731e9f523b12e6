import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Turn } from "../bench.js";

/**
 * PyTorch at its fastest on this kind of machine: AVX-512 kernels, OpenBLAS's too, threads that sleep when idle, and
 * memory that goes back to the allocator's heap instead of the system, which saves a third of a U-Net step.
 */
function tuned(threads: number): NodeJS.ProcessEnv {
  return {
    ...process.env,
    OPENBLAS_CORETYPE: "SkylakeX",
    ATEN_CPU_CAPABILITY: "avx512",
    OMP_WAIT_POLICY: "PASSIVE",
    MALLOC_MMAP_THRESHOLD_: "4000000000",
    MALLOC_TRIM_THRESHOLD_: "8000000000",
    MALLOC_TOP_PAD_: "268435456",
    OMP_NUM_THREADS: String(threads),
    OPENBLAS_NUM_THREADS: String(threads),
  };
}

const python = process.env.TWEEDIE_PEER_PYTHON ?? "/usr/bin/python3";

const succeeds = (code: string): boolean => spawnSync(python, ["-c", code], { stdio: "ignore" }).status === 0;

/**
 * Why there is no PyTorch to compare with; undefined if there is. Debian's does not depend on a fast BLAS: with the
 * reference one a matrix product takes ten times as long and more, and comparing with it would be no comparison.
 */
function whyNoTorch(): string | undefined {
  if (!succeeds("import torch")) return "no PyTorch: install python3-torch, or set TWEEDIE_PEER_PYTHON";
  const fastBlas = "import torch, re; assert re.search('openblas|mkl_|blis|atlas', open('/proc/self/maps').read())";
  return succeeds(fastBlas) ? undefined : "PyTorch runs on the reference BLAS: install libopenblas0-pthread";
}

/** Why there is no peer, if there is none. */
export const noTorch: string | undefined = whyNoTorch();

/** Times per repetition, and what was computed. */
export interface Answer extends Turn {
  readonly values: readonly number[];
}

/** A Python script that answers each line it is sent with a line of JSON. */
export class TorchPeer {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;
  private complaints = "";

  constructor(script: string, args: readonly (string | number)[], threads: number) {
    this.child = spawn(python, [script, ...args.map(String)], { env: tuned(threads) });
    this.child.stderr.on("data", (text: Buffer) => {
      this.complaints += text.toString();
    });
    this.reader = createInterface({ input: this.child.stdout });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  /** @throws Error with what the script printed, if it ended */
  async ask(line: string): Promise<Answer> {
    this.child.stdin.write(`${line}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`the PyTorch peer ended:\n${this.complaints}`);
    return JSON.parse(value) as Answer;
  }

  close(): void {
    this.reader.close();
    this.child.stdin.end();
    this.child.kill();
  }
}
