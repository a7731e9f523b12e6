import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, readFile, rm, stat, utimes } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import type { FuzzReport, FuzzRequest } from "./child.js";
import { writeSeeds } from "./seeds.js";
import { use } from "./use.js";

// TWEEDIE_FUZZ=5000 tries as many; TWEEDIE_FUZZ_FROM starts at a later one.
const count = Number(process.env.TWEEDIE_FUZZ ?? 200);
const first = Number(process.env.TWEEDIE_FUZZ_FROM ?? 0);
/** Longer than any of the small networks takes, on a busy machine. */
const patienceMs = 60_000;

let seeds: string;
let names: string[];
beforeAll(async () => {
  seeds = await mkdtemp(join(tmpdir(), "tweedie-seeds-"));
  names = await writeSeeds(seeds);
});
afterAll(() => rm(seeds, { recursive: true }));

interface Outcome {
  readonly index: number;
  readonly what: string;
  readonly outcome: string;
  readonly detail: string;
}

/** Runs a range of mutations in a child; one that dies or stays silent is replaced behind the mutation that did it. */
async function fuzz(from: number, to: number, found: (outcome: Outcome) => void): Promise<void> {
  for (let next = from; next < to; ) {
    const child = fork(fileURLToPath(new URL("child.ts", import.meta.url)), {
      execArgv: ["--max-old-space-size=1024", "--import", "tsx"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    next = await watch(child, { seeds, names, seed: 20_251_125, from: next, to }, found);
  }
}

function watch(child: ChildProcess, request: FuzzRequest, found: (outcome: Outcome) => void): Promise<number> {
  return new Promise((resolve) => {
    let current = { index: request.from, what: "the start" };
    let isSilent = false;
    let next = request.from;
    let said = "";
    const timer = setTimeout(() => {
      isSilent = true;
      child.kill("SIGKILL");
    }, patienceMs);
    child.stderr!.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000);
    });
    child.on("message", (report: FuzzReport) => {
      timer.refresh();
      if ("begun" in report) current = { index: report.begun, what: report.what };
      else {
        next = report.ended + 1;
        found({ ...current, outcome: report.outcome, detail: report.detail });
      }
    });
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      if (next < request.to) {
        found({ ...current, outcome: isSilent ? "HANG" : `CRASH ${signal ?? code}`, detail: said });
        next = current.index + 1;
      }
      resolve(next);
    });
    child.send(request);
  });
}

describe("broken and hostile folders", () => {
  it("open before they are broken", async () => {
    for (const name of names) await use(join(seeds, name));
    await closeRuntime();
  });

  it(`open or say what is wrong: ${count} mutations`, { timeout: 60_000 + count * 5_000 }, async () => {
    const probe = join(seeds, names[0]!, "model_index.json");
    await utimes(probe, 1e9, 1e9);
    await readFile(probe);
    // Where a file system keeps no times of access, reading outside would go unseen.
    expect((await stat(probe)).atimeMs).not.toBe(1e12);

    const outcomes: Outcome[] = [];
    const children = count > 1000 ? 1 : Math.min(2, availableParallelism());
    const share = Math.ceil(count / children);
    await Promise.all(
      Array.from({ length: children }, (_, k) =>
        fuzz(first + k * share, first + Math.min(count, (k + 1) * share), (o) => void outcomes.push(o)),
      ),
    );
    const counts: Record<string, number> = {};
    for (const { outcome } of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (process.env.TWEEDIE_FUZZ) console.log(counts);
    const forbidden = outcomes.filter(({ outcome }) => /^[A-Z]{3,}( |$)/.test(outcome));
    expect(forbidden).toEqual([]);
    expect(outcomes.length).toBe(count);
    // Mutations that do no harm, and most kinds of errors, occur among so many.
    for (const kind of ["opened", "ModelFolderError", "ModelFormatError", "RuntimeError"])
      expect(counts[kind]).toBeGreaterThan(0);
  });
});
