// What the compiler does not carry from the sources into dist: files that are loaded as they are.
import { cpSync } from "node:fs";

const assets = ["lib/runtime/worker.js", "kernel/assets", "kernel/templates", "models/shapes/tokenizer"];

const root = new URL("../", import.meta.url);
for (const asset of assets) cpSync(new URL(asset, root), new URL(`dist/${asset}`, root), { recursive: true });
