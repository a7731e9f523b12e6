export { backward, type GradientOptions, gradient } from "./gradient.js";
export { type Differentiated, gradientThrough } from "./gradient-through.js";
export { type Call, UnsupportedOpError, type Vjp } from "./vjp.js";
