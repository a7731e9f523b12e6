export { dataTypeCodes, dtypeOfCode } from "./data-type.js";
export { decodeModel } from "./decode.js";
export { encodeModel } from "./encode.js";
export { ModelFormatError } from "./model-format-error.js";
