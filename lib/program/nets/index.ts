export * from "./autoencoder-kl.js";
export * from "./clip-text.js";
export * from "./convnet.js";
export { resnetBlock, timestepEmbedding, type UNetConfig, unet2dCondition } from "./unet-2d-condition.js";
