import type { Rng } from "../../lib/tensor/random.js";
import {
  type Background,
  backgrounds,
  type Colour,
  colours,
  contrasts,
  isHeldOutCombination,
  type Kind,
  type Relation,
  relations,
  type Scene,
  type SceneObject,
  type Shape,
  type Size,
  shapes,
  sizes,
  type Texture,
  textures,
} from "./scene.js";

/** What a caption says about one object; a part that is not mentioned is absent. */
export interface AskedObject {
  readonly shape?: Shape;
  readonly colour?: Colour;
  readonly size?: Size;
  readonly texture?: Texture;
}

/** What a caption asks for. `relation` says where `objects[0]` lies as seen from `objects[1]`. */
export interface Asked {
  readonly kind: Kind;
  /** Objects in the picture; equal objects are described once in `objects`. */
  readonly count: number;
  readonly objects: readonly AskedObject[];
  readonly background?: Background;
  readonly relation?: Relation;
}

const plurals: Readonly<Record<Shape | "shape", string>> = {
  circle: "circles",
  square: "squares",
  triangle: "triangles",
  star: "stars",
  cross: "crosses",
  ring: "rings",
  shape: "shapes",
};
const counts = ["zero", "one", "two", "three"] as const;

/** Every word the grammar can produce, sorted. */
export const grammarWords: readonly string[] = [
  ...new Set([
    "a",
    "an",
    "and",
    "on",
    "background",
    "shape",
    ...shapes,
    ...Object.values(plurals),
    ...colours,
    ...backgrounds,
    ...sizes,
    ...textures,
    ...counts.slice(2),
    ...relations.flatMap((relation) => relation.split(" ")),
  ]),
].sort();

/**
 * A caption of a scene. Shape and colour are nearly always named (one caption in ten leaves one of them out); size,
 * texture, relation and background are named at random, so that short and long captions both occur.
 */
export function captionOf(scene: Scene, rng: Rng): string {
  const vague = rng.uniform();
  const dropColour = vague < 0.05;
  const dropShape = vague >= 0.05 && vague < 0.1;
  const named = (object: SceneObject): AskedObject => ({
    ...(dropShape ? {} : { shape: object.shape }),
    ...(dropColour ? {} : { colour: object.colour }),
    ...(scene.kind === "single" && rng.uniform() < 0.5 ? { size: object.size } : {}),
    ...(rng.uniform() < (object.texture === "solid" ? 0.05 : 0.8) ? { texture: object.texture } : {}),
  });
  const relation = scene.relation !== undefined && rng.uniform() < 0.9 ? scene.relation : undefined;
  return phrase({
    kind: scene.kind,
    count: scene.objects.length,
    objects: (scene.kind === "count" ? scene.objects.slice(0, 1) : scene.objects).map(named),
    ...(relation ? { relation } : {}),
    ...(rng.uniform() < 0.4 ? { background: scene.background } : {}),
  });
}

/** The caption that says exactly this: the inverse of `parseCaption`. */
export function phrase(asked: Asked): string {
  const [first, second] = asked.objects;
  const subject =
    asked.kind === "count"
      ? [counts[asked.count], ...wordsOf(first!, true)].join(" ")
      : second
        ? `${withArticle(wordsOf(first!))} ${asked.relation ?? "and"} ${withArticle(wordsOf(second))}`
        : withArticle(wordsOf(first!));
  return asked.background ? `${subject} on ${withArticle([asked.background, "background"])}` : subject;
}

/**
 * What a caption of the grammar asks for, to judge a generated picture by.
 * @throws RangeError on a sentence outside the grammar, naming the word where it leaves it
 */
export function parseCaption(caption: string): Asked {
  const words = caption.toLowerCase().split(/\s+/).filter(Boolean);
  let at = 0;
  const refuse = (expected: string): RangeError =>
    new RangeError(
      `parseCaption: expected ${expected}, got ${words[at] === undefined ? "the end" : `"${words[at]}"`} (word ${at + 1} of ` +
        `"${caption}"); write like "a large striped red circle left of a blue square on a gray background"`,
    );
  const take = <T extends string>(values: readonly T[]): T | undefined => {
    const found = values.find((value) => value === words[at]);
    if (found !== undefined) at++;
    return found;
  };
  const object = (plural: boolean): AskedObject => {
    const size = take(sizes);
    const texture = take(textures);
    const colour = take(colours);
    const nouns = [...shapes, "shape"] as const;
    const noun = nouns.find((name) => (plural ? plurals[name] : name) === words[at]);
    if (noun === undefined) throw refuse(plural ? "a plural shape" : "a shape");
    at++;
    return {
      ...(noun === "shape" ? {} : { shape: noun }),
      ...(colour ? { colour } : {}),
      ...(size ? { size } : {}),
      ...(texture ? { texture } : {}),
    };
  };
  const article = (): void => {
    if (!take(["a", "an"])) throw refuse('"a" or "an"');
  };

  const objects: AskedObject[] = [];
  let kind: Kind = "single";
  let relation: Relation | undefined;
  const number = take(["two", "three"]);
  if (number) {
    kind = "count";
    objects.push(object(true));
  } else {
    article();
    objects.push(object(false));
    relation = relations.find((name) => name.split(" ").every((word, i) => words[at + i] === word));
    if (relation) at += relation.split(" ").length;
    if (relation ?? take(["and"])) {
      kind = "relation";
      article();
      objects.push(object(false));
    }
  }
  let background: Background | undefined;
  if (take(["on"])) {
    article();
    background = take(backgrounds);
    if (!background) throw refuse(`one of ${backgrounds.join(", ")}`);
    if (!take(["background"])) throw refuse('"background"');
  }
  if (at < words.length) throw refuse("the end");
  const count = number ? counts.indexOf(number) : objects.length;
  return { kind, count, objects, ...(relation ? { relation } : {}), ...(background ? { background } : {}) };
}

/** Which prompts to list; all by default. */
export interface PromptOptions {
  readonly kinds?: readonly Kind[];
  /** Also list every prompt with each background that contrasts with its colours. Default false. */
  readonly backgrounds?: boolean;
  /** Two-object prompts of the training set, only the held-out ones, or all. Default "any". */
  readonly combinations?: "seen" | "heldOut" | "any";
}

/** Every prompt that names all shapes and colours it asks for, in a fixed order. */
export function allPrompts(options: PromptOptions = {}): string[] {
  const looks = shapes.flatMap((shape) => colours.map((colour) => ({ shape, colour })));
  const wanted = options.combinations ?? "any";
  const asked: Asked[] = [];
  for (const kind of options.kinds ?? (["single", "relation", "count"] as const)) {
    if (kind === "single") asked.push(...looks.map((look) => ({ kind, count: 1, objects: [look] })));
    else if (kind === "count") asked.push(...looks.flatMap((look) => [2, 3].map((count) => ({ kind, count, objects: [look] }))));
    else {
      for (const a of looks) {
        for (const b of looks) {
          if (a.shape === b.shape || a.colour === b.colour) continue;
          if (wanted !== "any" && isHeldOutCombination(a, b) !== (wanted === "heldOut")) continue;
          asked.push(...relations.map((relation) => ({ kind, count: 2, objects: [a, b], relation })));
        }
      }
    }
  }
  if (!options.backgrounds) return asked.map(phrase);
  return asked.flatMap((plain) => [
    phrase(plain),
    ...backgrounds
      .filter((background) => plain.objects.every((o) => contrasts(o.colour!, background)))
      .map((background) => phrase({ ...plain, background })),
  ]);
}

function wordsOf(object: AskedObject, plural = false): string[] {
  const noun = object.shape ?? "shape";
  return [object.size, object.texture, object.colour, plural ? plurals[noun] : noun].filter((word) => word !== undefined);
}

function withArticle(words: readonly string[]): string {
  return `${/^[aeiou]/.test(words[0]!) ? "an" : "a"} ${words.join(" ")}`;
}
