import { definedNames, type Graph, splice } from "../../onnx/index.js";
import type { Tensor } from "../../tensor/index.js";
import type { HookPoint } from "../hook-point.js";
import { programEdit } from "../program-splice.js";
import type { Break } from "../staged-session.js";
import type { Edit, StepContext } from "./edit.js";

/** Finds the hook points a pattern names. */
export type FindHookPoints = (pattern: string) => readonly HookPoint[];

/** A graph with edits in it. */
export interface EditedGraph {
  readonly graph: Graph;
  /** Where JavaScript takes a hand. */
  readonly breaks: readonly Break<EditCall>[];
  /** A point as captures read it: behind its edits. */
  readonly current: (point: HookPoint) => HookPoint;
}

/** The call that an edit makes at a hook point. */
export interface EditCall {
  /** Number of the edit. */
  readonly edit: number;
  readonly hookPoint: HookPoint;
}

/** Splices edits into a graph, in their order. */
export function applyEdits(original: Graph, edits: readonly Edit[], find: FindHookPoints, opset: number): EditedGraph {
  let graph = original;
  const breaks: Break<EditCall>[] = [];
  const behindInputs = new Map<string, string>();
  const inputs = new Set(original.inputs.map((v) => v.name));
  const behind = (name: string): string => behindInputs.get(name) ?? name;
  const current = ({ minus, ...point }: HookPoint): HookPoint => ({
    ...point,
    value: behind(point.value),
    ...(minus !== undefined && { minus: behind(minus) }),
  });
  for (const [i, edit] of edits.entries()) {
    for (const point of find(edit.pattern)) {
      if (inputs.has(point.value) && !behindInputs.has(point.value)) {
        // An input keeps its name. A value of its own behind it is what edits follow one another at, and captures read.
        const before = definedNames(graph);
        graph = splice(point.value, (value) => ({ nodes: [], output: value }))(graph);
        behindInputs.set(point.value, graph.nodes[0]!.outputs.find((name) => !before.has(name))!);
      }
      const input = (name: string): string => editInput(i, point, name);
      const at = current(point);
      const write = programEdit(edit.program(point, input), at, opset);
      graph = splice(at.value, (value, fresh, info) => {
        const spliced = write(value, fresh, info);
        if (edit.call !== undefined) {
          // Inner values of a program get new names that end in their own.
          const names = spliced.nodes.flatMap((node) => node.outputs);
          breaks.push({
            value: names.find((name) => name.includes(input("activation")))!,
            input: input("result"),
            call: { edit: i, hookPoint: point },
          });
        }
        return spliced;
      })(graph);
    }
  }
  return { graph, breaks, current };
}

/** What the inputs of edits get at one run, but for results of calls. */
export function editFeeds(edits: readonly Edit[], find: FindHookPoints, context: StepContext): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  edits.forEach((edit, i) => {
    for (const point of find(edit.pattern)) {
      for (const [name, tensor] of Object.entries(edit.feeds(point, context))) feeds[editInput(i, point, name)] = tensor;
    }
  });
  return feeds;
}

function editInput(index: number, point: HookPoint, name: string): string {
  return `edit.${index}.${point.path}.${name}`;
}
