export { type Proportion, proportion, proportionOf } from "./proportion.js";
