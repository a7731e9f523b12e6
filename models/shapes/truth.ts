import { type Asked, parseCaption } from "./caption.js";
import { contains } from "./factors.js";
import type { Relation, Scene } from "./scene.js";

const opposite: Readonly<Record<Relation, Relation>> = {
  "left of": "right of",
  "right of": "left of",
  above: "below",
  below: "above",
};

/** True where everything that a caption says holds in the scene, and the scene holds nothing else. */
export function isTrueOf(caption: string | Asked, scene: Scene): boolean {
  const asked = typeof caption === "string" ? parseCaption(caption) : caption;
  if (asked.kind !== scene.kind || asked.count !== scene.objects.length) return false;
  if (asked.background !== undefined && asked.background !== scene.background) return false;
  const [first, second] = asked.objects;
  if (second === undefined) return contains(scene, first!);
  const [a, b] = scene.objects.map((object): Scene => ({ ...scene, objects: [object] }));
  const agrees = (relation: Relation): boolean => asked.relation === undefined || asked.relation === relation;
  return (
    (contains(a!, first!) && contains(b!, second) && agrees(scene.relation!)) ||
    (contains(b!, first!) && contains(a!, second) && agrees(opposite[scene.relation!]))
  );
}
