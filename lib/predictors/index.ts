export {
  type Classification,
  Classifier,
  type ClassifierConfig,
  ClassifierFolderError,
  type ClassifierHead,
} from "./classifier.js";
export {
  ContrastiveEncoder,
  type ContrastiveEncoderOptions,
  type EncodeBatchOptions,
  similarities,
} from "./contrastive-encoder.js";
