export { Tokenizer, type TokenizerParts } from "./clip-tokenizer.js";
export { JsonTokenizer, type JsonTokenizerParts } from "./json-tokenizer.js";
export { loadTokenizer } from "./load-tokenizer.js";
export { type EncodeOptions, type Encoding, type PromptTokenizer, stackEncodings, type Token } from "./prompt-tokenizer.js";
export { warnOfTruncation } from "./truncation.js";
export { applyTokenWeights, type PromptSegment, parseWeightedPrompt, plainPrompt, tokenWeights } from "./weighted-prompt.js";
