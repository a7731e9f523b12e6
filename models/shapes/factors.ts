import type { AskedObject } from "./caption.js";
import type { Background, Colour, Kind, Relation, Scene, SceneObject, Shape, Size, Texture } from "./scene.js";

/** What is true of one object; x, y and radius in pixels, rotation in degrees. */
export interface ObjectFactors {
  readonly shape: Shape;
  readonly colour: Colour;
  readonly size: Size;
  readonly texture: Texture;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly rotation: number;
}

/** The ground truth of a picture: its first object's factors and the scene's. */
export interface Factors extends ObjectFactors {
  readonly kind: Kind;
  readonly count: number;
  readonly background: Background;
  /** Where the first object lies as seen from `other`; undefined unless two different objects are shown. */
  readonly relation: Relation | undefined;
  /** The second of two different objects. */
  readonly other: ObjectFactors | undefined;
}

/** The complete ground truth of a scene, flat for tables and probes. */
export function factors(scene: Scene): Factors {
  return {
    kind: scene.kind,
    count: scene.objects.length,
    background: scene.background,
    relation: scene.relation,
    ...objectFactors(scene.objects[0]!),
    other: scene.kind === "relation" ? objectFactors(scene.objects[1]!) : undefined,
  };
}

/** True where one object of the scene has every property asked for, such as `{ shape: "star", colour: "red" }`. */
export function contains(scene: Scene, asked: AskedObject): boolean {
  const properties = Object.entries(asked) as [keyof AskedObject, string][];
  return scene.objects.some((object) => properties.every(([name, value]) => object[name] === value));
}

function objectFactors({ shape, colour, size, texture, x, y, radius, rotation }: SceneObject): ObjectFactors {
  return { shape, colour, size, texture, x, y, radius, rotation };
}
