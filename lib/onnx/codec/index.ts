export { dataTypeCodes, dtypeOfCode } from "./data-type.js";
export { decodeModel } from "./decode.js";
export { encodeModel } from "./encode.js";
export {
  expectUnchanged,
  externalFilesOf,
  externalFolderOf,
  readInitializer,
  tensorsOf,
  withSmallDataInside,
} from "./external-data.js";
export { type LoadModelOptions, loadModel, type SaveModelOptions, saveModel } from "./files.js";
export { ModelFormatError } from "./model-format-error.js";
