export { backward, type GradientOptions, gradient } from "./gradient.js";
export { type Call, UnsupportedOpError, type Vjp } from "./vjp.js";
