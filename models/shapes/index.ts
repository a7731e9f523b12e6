/** The embedded world: scenes with complete ground truth, their captions, and the classifiers that judge pictures. */
export { allPrompts, captionOf, parseCaption, phrase } from "./caption.js";
export { openClip, zeroShot } from "./clip.js";
export { exampleAt, sceneBatch } from "./dataset.js";
export { factors } from "./factors.js";
export { shapesFolder } from "./folder.js";
export { judgePictures, loadJudge, openJudge, openShortcut, type Verdict } from "./judge.js";
export { objectMask, pictureOf, renderBatch, renderScene } from "./render.js";
export { backgrounds, colourRgb, colours, type Scene, sampleScene, shapes } from "./scene.js";
export { type Score, type Shares, scorePictures, sharesOf } from "./score.js";
