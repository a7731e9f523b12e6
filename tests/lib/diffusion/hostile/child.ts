// Breaks folders and opens them, in a process of its own: the runtime is native code.
import { cp, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Rng } from "../../../../lib/tensor/index.js";
import { mutate } from "./mutations.js";
import { classify, use } from "./use.js";

export interface FuzzRequest {
  readonly seeds: string;
  readonly names: readonly string[];
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

/** What became of one mutation: "opened", an error's class, or what must not be, in capitals. */
export type FuzzReport =
  | { readonly begun: number; readonly what: string }
  | { readonly ended: number; readonly outcome: string; readonly detail: string };

async function fuzz({ seeds, names, seed, from, to }: FuzzRequest): Promise<void> {
  const long = new Date("2001-01-01");
  for (let i = from; i < to; i++) {
    const rng = new Rng([seed, i]);
    const root = await mkdtemp(join(tmpdir(), "tweedie-fuzz-"));
    const name = rng.choice(names);
    const folder = join(root, name);
    await cp(join(seeds, name), folder, { recursive: true });
    // Where `../` leads, and where relative names lead that are taken from the working directory.
    const elsewhere = join(root, "working-directory");
    await mkdir(elsewhere);
    process.chdir(elsewhere);
    const data = (await readdir(folder, { recursive: true }))
      .map((file) => basename(file))
      .filter((file) => file.endsWith(".data"));
    const watched = ["canary.bin", "canary.json"].map((file) => join(root, file));
    for (const file of ["canary.bin", "model.onnx", "link", ...data]) watched.push(join(elsewhere, file));
    for (const file of watched) await writeFile(file, new Uint8Array(1 << 14).fill(0x55));
    const twin = join(root, "twin");
    await cp(folder, twin, { recursive: true });
    for (const entry of await readdir(twin, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) watched.push(join(entry.parentPath, entry.name));
    }
    const canaries = watched.slice(0, 2);
    const changes = [await mutate(rng, folder, canaries, twin)];
    process.send!({ begun: i, what: `${name}/${changes.join("; ")}` } satisfies FuzzReport);
    // A file's time of access tells whether anybody, native code too, read it.
    for (const file of watched) await utimes(file, long, long);
    let [outcome, detail] = ["opened", ""];
    try {
      await use(folder);
    } catch (error) {
      outcome = classify(error);
      const { message, stack } = error as Error;
      detail = outcome.startsWith("RAW") ? String(stack) : String(message).slice(0, 500);
    }
    for (const file of watched) if ((await stat(file)).atimeMs !== long.getTime()) outcome = "READ OUTSIDE";
    if ("polluted" in {}) outcome = "POLLUTED";
    await rm(root, { recursive: true, force: true });
    process.send!({ ended: i, outcome, detail } satisfies FuzzReport);
  }
}

process.on("message", (request: FuzzRequest) => {
  void fuzz(request).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(3);
    },
  );
});
