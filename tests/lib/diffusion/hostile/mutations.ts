import { mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import type { Rng } from "../../../../lib/tensor/index.js";
import { everyField, type Field, parse, write } from "./protobuf.js";

/**
 * Breaks a folder in one way, drawn at random.
 * @param canaries files outside that it is to be led to
 * @param twin a copy of the folder outside
 * @returns what was done, in words
 */
export async function mutate(rng: Rng, folder: string, canaries: readonly string[], twin: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const some = (pattern: RegExp): string => rng.choice(files.filter((file) => pattern.test(file)));
  const how = rng.choice(mutators);
  const file = how.of === undefined ? rng.choice(files) : some(how.of);
  return `${relative(folder, file)}: ${await how.change({ rng, file, folder, files, canaries, twin })}`;
}

interface Chance {
  readonly rng: Rng;
  readonly file: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly canaries: readonly string[];
  readonly twin: string;
}

interface Mutator {
  readonly of?: RegExp;
  change(chance: Chance): Promise<string>;
}

const encoder = new TextEncoder();
const json = /\.json$/;
const onnx = /\.onnx$/;

const flipBytes = async ({ rng, file }: Chance): Promise<string> => {
  const bytes = await readFile(file);
  const count = 1 + rng.int(8);
  for (let i = 0; i < count && bytes.length > 0; i++) bytes[rng.int(bytes.length)]! ^= 1 << rng.int(8);
  await writeFile(file, bytes);
  return `${count} bits flipped`;
};

const cutOff = async ({ rng, file }: Chance): Promise<string> => {
  const { length } = await readFile(file);
  const kept = rng.int(length + 1);
  await truncate(file, kept);
  return `cut off at ${kept} of ${length}`;
};

const spliceIn = async ({ rng, file, files }: Chance): Promise<string> => {
  const [bytes, other] = [await readFile(file), await readFile(rng.choice(files))];
  const [at, from] = [rng.int(bytes.length + 1), rng.int(other.length + 1)];
  const piece = other.subarray(from, from + rng.int(200));
  const gone = rng.int(2) * piece.length;
  await writeFile(file, Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + gone)]));
  return `${piece.length} bytes of another file at ${at}`;
};

const garbage = async ({ rng, file }: Chance): Promise<string> => {
  await writeFile(
    file,
    Uint8Array.from({ length: rng.int(300) }, () => rng.int(256)),
  );
  return "random bytes";
};

const replaceEntry = async ({ rng, file, folder, canaries, twin }: Chance): Promise<string> => {
  const target = rng.int(3) === 0 ? dirname(file) : file;
  if (target === folder) return "left alone";
  const kind = rng.choice([
    "nothing",
    "a folder",
    "a link out",
    "a link to itself",
    "a link to a folder out",
    "a link to its twin outside",
    "a link to its twin outside",
    "another name",
  ]);
  if (kind === "another name") {
    await rename(target, `${target}.old`);
    return kind;
  }
  await rm(target, { recursive: true });
  if (kind === "a folder") await mkdir(target);
  if (kind === "a link out") await symlink(rng.choice(canaries), target);
  if (kind === "a link to itself") await symlink(target, target);
  if (kind === "a link to its twin outside") await symlink(join(twin, relative(folder, target)), target);
  if (kind === "a link to a folder out") await symlink(dirname(canaries[0]!), target);
  return `${relative(folder, target)} is ${kind}`;
};

/** Values that no field expects. */
const strange: readonly ((rng: Rng) => string)[] = [
  () => "null",
  () => "true",
  () => "-1",
  () => "0",
  () => "0.5",
  () => "1e308",
  () => "-1e308",
  () => "NaN",
  () => "-Infinity",
  () => "9007199254740993",
  () => "2147483648",
  () => '""',
  () => '"../../canary.json"',
  () => '"constructor"',
  () => '"__proto__"',
  () => '"\\u0000\\ud800"',
  () => "[]",
  () => "{}",
  () => "[null]",
  () => '{"__proto__": {"polluted": true}, "constructor": null}',
  (rng) => JSON.stringify("a".repeat(10 ** rng.int(6))),
  (rng) => `${"[".repeat(10 ** rng.int(5))}`,
  (rng) => {
    const depth = 10 ** rng.int(5);
    return "[".repeat(depth) + "]".repeat(depth);
  },
  (rng) => `[${new Array(10 ** rng.int(5)).fill("1").join()}]`,
  (rng) => String(rng.int(100_000)),
];

/** Every place of a JSON value, as the objects and keys that lead to it. */
function places(value: unknown): { holder: Record<string, unknown>; key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...places(holder[key])]);
}

const mark = "\u0001here\u0001";

const changeField = async ({ rng, file }: Chance): Promise<string> => {
  const value: unknown = JSON.parse((await readFile(file, "utf8")).replace(/: (-?Infinity)/g, ': "$1"'));
  const all = places(value);
  if (all.length === 0) return "left alone";
  const { holder, key } = rng.choice(all);
  const kind = rng.choice(["value", "value", "value", "delete", "rename", "double"]);
  const other = rng.choice(strange)(rng);
  if (kind === "value") holder[key] = mark;
  if (kind === "delete") delete holder[key];
  if (kind === "rename") {
    holder[rng.choice(["__proto__x", "constructor", "toString", "", "_class_name", "sample_size"])] = holder[key];
    delete holder[key];
  }
  let text = JSON.stringify(value).replace(JSON.stringify(mark), () => other);
  if (kind === "rename") text = text.replace("__proto__x", "__proto__");
  if (kind === "double") text = text.replace("{", `{${JSON.stringify(key)}: ${other},`);
  await writeFile(file, text);
  return `${kind} of "${key.slice(0, 30)}" ${other.slice(0, 40)}`;
};

/** Where a model may want its weights from; most of these are files that exist. */
const paths = (canary: string, inPart: string): readonly string[] => [
  "../../canary.bin",
  "../../canary.bin",
  `./../${inPart}/../../canary.bin`,
  canary,
  canary,
  "link",
  "link",
  "folder/canary.bin",
  "model.onnx",
  "../canary.bin",
  "..\\..\\canary.bin",
  `C:${canary}`,
  "\\\\server\\share\\canary.bin",
  "/etc/passwd",
  "file:///etc/passwd",
  ".",
  "",
  "a\0b",
  `${"a/".repeat(3000)}b`,
];

/** A path for weights, with the links that make some of them lead out. */
async function somePath({ rng, file, canaries }: Chance): Promise<string> {
  const path = rng.choice(paths(canaries[0]!, basename(dirname(file))));
  if (path === "link") await symlink(canaries[0]!, join(dirname(file), "link"));
  if (path.startsWith("folder/")) await symlink(dirname(canaries[0]!), join(dirname(file), "folder"));
  return path;
}

const entry = (key: string, value: string): Field => ({
  number: 13,
  wire: 2,
  value: [
    { number: 1, wire: 2, value: encoder.encode(key) },
    { number: 2, wire: 2, value: encoder.encode(value) },
  ],
});

/** Weights from another file: of a tensor that has its own, or that was in another file before. */
const relocate = async (chance: Chance): Promise<string> => {
  const { rng, file } = chance;
  const model = parse(await readFile(file));
  const tensors = [...everyField(model)].filter(({ path }) => /^7(\.1\.5\.6)*\.(5|1\.5\.5)$/.test(path.join(".")));
  if (tensors.length === 0) return "left alone";
  const { field } = rng.choice(tensors);
  const fields = (field.value as Field[]).filter((f) => f.number !== 9 && f.number !== 13 && f.number !== 14);
  const path = await somePath(chance);
  const offset = rng.choice(["", "", "", "0", "4", "-1", "1e300", "NaN", "9223372036854775807", "999999", "0x10"]);
  const length = rng.choice(["", "", "", "", "4", "-1", "NaN", "9223372036854775807"]);
  fields.push(entry("location", path), { number: 14, wire: 0, value: 1n });
  if (offset !== "") fields.push(entry("offset", offset));
  if (length !== "") fields.push(entry("length", length));
  // Of strings, 8- and 4-bit floats, 4-bit integers, which are kept as they are read.
  if (rng.int(3) === 0) for (const f of fields) if (f.number === 2) f.value = rng.choice([8n, 17n, 21n, 22n, 23n]);
  field.value = fields;
  await writeFile(file, write(model));
  return `weights from ${path.slice(0, 60)}, offset ${offset}, length ${length}`;
};

const numbers = [0n, 1n, -1n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 3n, 7n, 16n, 21n, 100n];
const operators = [
  "Loop",
  "Scan",
  "If",
  "Identity",
  "Reshape",
  "ConstantOfShape",
  "Expand",
  "Tile",
  "Resize",
  "Gather",
  "Conv",
  "Foo",
  "",
];

/** A change that knows what an ONNX model is made of. */
const changeModel = async ({ rng, file }: Chance): Promise<string> => {
  const model = parse(await readFile(file));
  const all = [...everyField(model)];
  const at = (pattern: RegExp): (typeof all)[number] | undefined => {
    const found = all.filter(({ path }) => pattern.test(path.join(".")));
    return found.length === 0 ? undefined : rng.choice(found);
  };
  const text = (value: Field["value"]): string => (value instanceof Uint8Array ? Buffer.from(value).toString() : "");
  const kind = rng.choice(["number", "number", "reference", "operator", "name", "delete", "double", "wire", "nest", "length"]);
  let done = "nothing";
  const spot = {
    number: () => at(/.*/) && rng.choice(all.filter(({ field }) => field.wire === 0)),
    reference: () => at(/(^|\.)5\.13$/),
    operator: () => at(/^7(\.1\.5\.6)*\.1\.4$/),
    name: () => at(/^7(\.1\.5\.6)*\.(1\.[12]|5\.8|11\.1|12\.1)$/),
    delete: () => at(/.*/),
    double: () => at(/.*/),
    wire: () => at(/.*/),
    nest: () => at(/^7\.1$/),
    length: () => at(/.*/),
  }[kind]!();
  if (spot === undefined) return "left alone";
  const { field, among, path } = spot;
  if (kind === "number") {
    field.value = rng.choice(numbers);
    done = `= ${field.value}`;
  } else if (kind === "reference") {
    const value = rng.choice(["-1", "1e300", "NaN", "9223372036854775807", "999999", "", "0x10", "location", "offset"]);
    for (const f of field.value as Field[]) if (f.number === 1 + rng.int(2)) f.value = encoder.encode(value);
    done = `key or value ${value}`;
  } else if (kind === "operator") {
    field.value = encoder.encode(rng.choice(operators));
    done = `operator ${text(field.value)}`;
  } else if (kind === "name") {
    const names = all.filter(({ path: p }) => /\.(1\.[12]|5\.8|11\.1|12\.1)$/.test(p.join("."))).map((o) => o.field.value);
    field.value = rng.choice([...names, encoder.encode(""), Uint8Array.of(0xff, 0xfe, 0)]);
    done = `name ${JSON.stringify(text(field.value)).slice(0, 40)}`;
  } else if (kind === "delete") {
    among.splice(among.indexOf(field), 1);
    done = "deleted";
  } else if (kind === "double") {
    among.splice(rng.int(among.length + 1), 0, field);
    done = "twice";
  } else if (kind === "wire") {
    field.wire = rng.choice([0, 1, 2, 5] as const);
    field.number = rng.choice([field.number, field.number, rng.int(30) + 1]);
    if (field.wire === 0 && typeof field.value !== "bigint") field.value = 5n;
    if (field.wire !== 0 && typeof field.value === "bigint") field.value = new Uint8Array(field.wire === 1 ? 8 : 4);
    done = `wire type ${field.wire}, field ${field.number}`;
  } else if (kind === "length") {
    if (field.value instanceof Uint8Array) field.value = field.value.slice(0, rng.int(field.value.length + 1));
    done = "shorter";
  } else {
    const depth = rng.choice([2, 31, 40, 200]);
    let inner: Field = structuredClone(field);
    for (let d = 0; d < depth; d++) {
      const graph: Field = { number: 6, wire: 2, value: [inner] };
      const name: Field = { number: 1, wire: 2, value: encoder.encode("body") };
      const attribute: Field = { number: 5, wire: 2, value: [name, graph, { number: 20, wire: 0, value: 5n }] };
      inner = { number: 1, wire: 2, value: [...(field.value as Field[]).filter((f) => f.number !== 5), attribute] };
    }
    among.push(inner);
    done = `a graph ${depth} deep`;
  }
  await writeFile(file, write(model));
  return `field ${path.join(".")} ${done}`;
};

const mutators: readonly Mutator[] = [
  { change: flipBytes },
  { of: onnx, change: flipBytes },
  { change: cutOff },
  { change: spliceIn },
  { change: garbage },
  { change: replaceEntry },
  { of: json, change: changeField },
  { of: json, change: changeField },
  { of: json, change: changeField },
  { of: onnx, change: changeModel },
  { of: onnx, change: changeModel },
  { of: onnx, change: changeModel },
  { of: onnx, change: relocate },
  { of: onnx, change: relocate },
];
