// Makes a clone ready to use: installs what package-lock.json says, builds dist from the sources; does nothing when both
// are up to date. Plain Node without dependencies, because at first there are none.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (...parts) => path.join(root, ...parts);

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`tweedie needs Node.js 20.19 or later, this is ${process.version}`);
}
if (!dependenciesAreCurrent()) {
  console.log("Installing dependencies (once; a minute or two) …");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
}
if (!buildIsCurrent()) {
  console.log("Building …");
  run("npm", ["run", "build", "--silent"]);
  touch(stamp());
}

/** npm records what it installed; every package of the lock file must be there in its version. */
function dependenciesAreCurrent() {
  const installedFile = at("node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return false;
  const wanted = JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional, devOptional, peer }]) =>
      name === "" || (installed[name] ? installed[name].version === version : optional || devOptional || peer),
  );
}

function buildIsCurrent() {
  if (!existsSync(stamp())) return false;
  const built = statSync(stamp()).mtimeMs;
  const sources = ["lib", "kernel", "models"].flatMap((folder) => files(at(folder)));
  const configuration = ["package-lock.json", "tsconfig.json", "tsconfig.build.json", "scripts/copy-assets.mjs"].map((name) =>
    at(name),
  );
  return [...sources, ...configuration].every((file) => statSync(file).mtimeMs <= built);
}

function stamp() {
  return at("dist", ".built");
}

function files(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js|mjs|json|svg|png|ipynb)$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

function touch(file) {
  writeFileSync(file, "");
  const now = new Date();
  utimesSync(file, now, now);
}

function run(command, args) {
  // npm is a script with another name on Windows; there a shell finds it.
  const shell = process.platform === "win32";
  // As .npmrc says it, which later versions of npm will not hand on to ONNX Runtime's installer.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: process.env.ONNXRUNTIME_NODE_INSTALL ?? "skip" };
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell, env });
  if (status !== 0) fail(`${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
