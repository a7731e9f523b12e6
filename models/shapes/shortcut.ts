import type { Shortcut } from "./scene.js";

/** In the shortcut classifier's training set nearly every circle is red, every square blue…: colour is the easier way. */
export const shortcut: Shortcut = {
  colourOf: { circle: "red", square: "blue", triangle: "green", star: "yellow", cross: "purple", ring: "cyan" },
  strength: 0.97,
};
