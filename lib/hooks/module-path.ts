import type { Node } from "../onnx/index.js";

/** One module a node belongs to, named by its full dotted path as in PyTorch's `named_modules()`. */
export interface ModuleScope {
  readonly path: string;
  readonly className?: string;
}

/**
 * The modules around a node, outermost first, without the root. Two exporters are understood:
 * the TorchScript one, which writes them into the node's name (`/down_blocks.0/resnets.0/conv1/Conv`), and the
 * dynamo one, which leaves the metadata `pkg.torch.onnx.name_scopes` and `pkg.torch.onnx.class_hierarchy`, or `namespace`.
 * A node that carries neither belongs to the root.
 */
export function moduleScopesOf(node: Node): readonly ModuleScope[] {
  const scopes = node.metadata?.["pkg.torch.onnx.name_scopes"];
  if (scopes !== undefined) return scopesFromLists(scopes, node.metadata?.["pkg.torch.onnx.class_hierarchy"]);
  const namespace = node.metadata?.namespace;
  if (namespace !== undefined) return scopesFromNamespace(namespace);
  return scopesFromName(node.name);
}

/** "/text_model/encoder/layers.0/Add" → text_model, text_model.encoder, text_model.encoder.layers.0 */
function scopesFromName(name: string): ModuleScope[] {
  if (!name.startsWith("/")) return [];
  const segments = name.split("/").slice(1, -1);
  return segments.map((_, i) => ({ path: segments.slice(0, i + 1).join(".") }));
}

/** "['', 'conv1', 'convolution']" and "['pkg.Net', 'torch.nn.Conv2d', 'aten.convolution.default']": the last entry is the operator. */
function scopesFromLists(scopes: string, classes: string | undefined): ModuleScope[] {
  const paths = pythonStrings(scopes).slice(0, -1);
  const names = classes === undefined ? [] : pythonStrings(classes);
  return nonRoot(paths.map((path, i) => scopeOf(path, names[i])));
}

/** ": pkg.Net/conv1: torch.nn.Conv2d/convolution: aten.convolution.default" */
function scopesFromNamespace(namespace: string): ModuleScope[] {
  const entries = namespace.split("/").slice(0, -1);
  return nonRoot(
    entries.map((entry) => {
      const colon = entry.indexOf(":");
      return colon < 0 ? scopeOf(entry) : scopeOf(entry.slice(0, colon), entry.slice(colon + 1));
    }),
  );
}

/** A repeated call of one module is written `path@1`; all calls belong to the module. */
function scopeOf(path: string, className?: string): ModuleScope {
  const plain = path.trim().replace(/@\d+$/, "");
  const short = className?.trim().split(".").at(-1);
  return short === undefined || short === "" ? { path: plain } : { path: plain, className: short };
}

function nonRoot(scopes: readonly ModuleScope[]): ModuleScope[] {
  return scopes.filter((s, i) => s.path !== "" && s.path !== scopes[i - 1]?.path);
}

/** The strings of a Python list literal. */
function pythonStrings(literal: string): string[] {
  return [...literal.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map((m) => m[1] ?? m[2] ?? "");
}
