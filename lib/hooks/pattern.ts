import { nearestNames } from "../runtime/feeds.js";
import { type HookPoint, UnknownHookPointError } from "./hook-point.js";

/**
 * Hook points named by a pattern: an exact path, or a glob over dotted paths in which `*` stands for anything
 * within one segment (`down_blocks.*`), `**` for any number of segments (`**.attn2`) and `{a,b}` for either. What follows a
 * colon is told in the pattern (`**:in`), and what is inside an attention too (`**.attn2.probs`): `**` at the end means modules.
 * @throws UnknownHookPointError if nothing matches
 */
export function matchHookPoints(points: ReadonlyMap<string, HookPoint>, pattern: string): readonly HookPoint[] {
  const exact = points.get(pattern);
  if (exact !== undefined) return [exact];
  const glob = /[*{]/.test(pattern) ? globExpression(pattern) : undefined;
  const open = pattern.endsWith("**");
  const matches =
    glob === undefined ? [] : [...points.values()].filter((p) => !(open && p.kind === "attention") && glob.test(p.path));
  if (matches.length === 0) throw new UnknownHookPointError(pattern, nearest(pattern, [...points.keys()]));
  return matches;
}

function globExpression(pattern: string): RegExp {
  let depth = 0;
  const balanced = /^[^{}]*(\{[^{}]*\}[^{}]*)*$/.test(pattern);
  const source = pattern
    .split(/(\*\*\.|\.\*\*|\*\*|\*|[{},])/)
    .map((part) => {
      if (part === "**.") return "(?:[^:]+\\.)?";
      if (part === ".**") return "(?:\\.[^:]+)?";
      if (part === "**") return "[^:]*";
      if (part === "*") return "[^.:]*";
      if (balanced && part === "{" && ++depth) return "(?:";
      if (balanced && part === "}" && depth--) return ")";
      if (depth > 0 && part === ",") return "|";
      return part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&");
    })
    .join("");
  return new RegExp(`^${source}$`);
}

/** Up to three names that look like the pattern; of `**.attn3` and `**:inn` the endings that do, as patterns again. */
function nearest(pattern: string, names: readonly string[]): string[] {
  const [, stars, tail] = /^(\*\*[.:])([^*{]+)$/.exec(pattern) ?? [];
  if (stars === undefined || tail === undefined) return nearestNames(pattern, names);
  const mark = stars.at(-1)!;
  const length = tail.split(mark).length;
  const endings = names.filter((name) => name.includes(mark)).map((name) => name.split(mark).slice(-length).join(mark));
  return nearestNames(tail, [...new Set(endings)]).map((name) => `${stars}${name}`);
}
