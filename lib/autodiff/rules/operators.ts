/** Operators with a reverse-mode rule, by family; those outside the default domain are "domain.Name". A name here without a rule does not compile. */

export type ElementwiseOp =
  | "Add"
  | "Sub"
  | "Mul"
  | "Div"
  | "Pow"
  | "Max"
  | "Min"
  | "Sum"
  | "Mean"
  | "Mod"
  | "Neg"
  | "Abs"
  | "Exp"
  | "Log"
  | "Sqrt"
  | "Reciprocal"
  | "Relu"
  | "Sigmoid"
  | "Tanh"
  | "Sin"
  | "Cos"
  | "Tan"
  | "Asin"
  | "Acos"
  | "Atan"
  | "Sinh"
  | "Cosh"
  | "Asinh"
  | "Acosh"
  | "Atanh"
  | "Erf"
  | "Softplus"
  | "Softsign"
  | "LeakyRelu"
  | "ThresholdedRelu"
  | "Elu"
  | "Selu"
  | "Celu"
  | "PRelu"
  | "HardSigmoid"
  | "HardSwish"
  | "Gelu"
  | "com.microsoft.Gelu"
  | "com.microsoft.QuickGelu"
  | "Mish"
  | "Clip"
  | "Where"
  | "Identity"
  | "Dropout"
  | "Cast"
  | "CastLike";

export type MovementOp =
  | "Reshape"
  | "Flatten"
  | "Squeeze"
  | "Unsqueeze"
  | "Transpose"
  | "Concat"
  | "Split"
  | "Slice"
  | "Pad"
  | "Tile"
  | "Expand"
  | "DepthToSpace"
  | "SpaceToDepth";

export type LinalgOp = "MatMul" | "Gemm" | "Einsum";

export type ConvolutionOp = "Conv" | "ConvTranspose";

export type PoolingOp = "AveragePool" | "MaxPool" | "GlobalAveragePool" | "GlobalMaxPool" | "Resize";

export type ReductionOp =
  | "ReduceSum"
  | "ReduceMean"
  | "ReduceSumSquare"
  | "ReduceL1"
  | "ReduceL2"
  | "ReduceLogSumExp"
  | "ReduceLogSum"
  | "ReduceProd"
  | "ReduceMax"
  | "ReduceMin"
  | "Softmax"
  | "LogSoftmax"
  | "CumSum";

export type NormalizationOp =
  | "LayerNormalization"
  | "InstanceNormalization"
  | "GroupNormalization"
  | "BatchNormalization"
  | "SimplifiedLayerNormalization"
  | "RMSNormalization"
  | "LpNormalization"
  | "MeanVarianceNormalization";

export type IndexingOp = "Gather" | "GatherElements" | "GatherND" | "ScatterElements" | "ScatterND" | "TopK" | "Trilu";

export type DifferentiableOp =
  | ElementwiseOp
  | MovementOp
  | LinalgOp
  | ConvolutionOp
  | PoolingOp
  | ReductionOp
  | NormalizationOp
  | IndexingOp;
