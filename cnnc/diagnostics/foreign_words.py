"""Names that other frameworks use: torch, Keras, ONNX, Darknet (with the YOLOs) and Caffe.

Foreign names are in lower case, without `_`, `-` and `2d`. `OURS` maps our names to foreign ones, and `MEANT` is its
inverse; the first of our names that is valid at the place is proposed. A foreign name with `?` may mean something else
or more, so no program replaces it. `NEEDLESS` says why a foreign attribute is not needed, and `DEFAULTS` with which
values it can be removed without a loss; None stands for all values.
"""

from typing import Final

OURS: Final = {
    # ops
    "conv": "convolution convolutional? depthwiseconv? depthwise? dwconv? separableconv? depthwiseseparableconv? "
    "sepconv? pointwiseconv? pwconv? lazyconv",
    "conv_transpose": "convtranspose transposedconv transposeconv deconv deconvolution deconvolutional? "
    "lazyconvtranspose",
    "linear": "dense fc fullyconnected connected? innerproduct gemm? lazylinear",
    "max_pool": "maxpooling pooling? pool?",
    "avg_pool": "averagepool averagepooling",
    "global_avg_pool": "gap globalaveragepool globalaveragepooling? globalavgpooling",
    "global_max_pool": "gmp globalmaxpooling?",
    "adaptive_avg_pool": "adaptiveaveragepool adaptiveaveragepooling adaptivepool?",
    "batch_norm": "bn batchnormalization batchnormalize? lazybatchnorm syncbatchnorm",
    "layer_norm": "ln layernormalization",
    "group_norm": "gn groupnormalization",
    "instance_norm": "instancenormalization lazyinstancenorm",
    "local_response_norm": "lrn? localresponsenormalization? crossmaplrn?",
    "dropout": "spatialdropout? alphadropout? featurealphadropout?",
    "drop_path": "stochasticdepth",
    "clip": "clamp clipbyvalue",
    "hardtanh": "htanh hardtan",
    "selu": "scaledelu",
    "mean": "reducemean avg?",
    "amax": "reducemax",
    "l2_norm": "normalize? l2normalize l2normalization lpnormalization? unitnormalization unitnorm",
    "exp": "exponential",
    "square": "pow?",
    "sub": "subtract minus",
    "div": "divide truediv",
    "maximum": "max?",
    "minimum": "min?",
    "slice": "narrow? stridedslice?",
    "crop": "centercrop? cropping?",
    "pixel_shuffle": "subpixel?",
    "adaptive_max_pool": "adaptivemaxpooling",
    "lp_pool": "lppooling",
    "leaky_relu": "leaky? lrelu relie?",
    "prelu": "parametricrelu",
    "sigmoid": "logistic",
    "hardswish": "hswish hardsilu",
    "hardsigmoid": "hsigmoid",
    "silu": "swish",
    "add": "addn plus eltwise? shortcut?",
    "sum": "reducesum",
    "mul": "multiply product? scalechannels? sam?",
    "matmul": "mm bmm dot? batchdot?",
    "attention": "multiheadattention? mha? selfattention? multiheadselfattention?",
    "parameter": "addweights?",
    "concat": "cat concatenate route?",
    "split": "chunk",
    "reshape": "view unflatten? squeeze? unsqueeze? expanddims?",
    "permute": "transpose?",
    "pad": "zeropad? zeropadding? constantpad? reflectionpad? replicationpad? circularpad?",
    "channel_shuffle": "shuffle? shufflechannel",
    "upsample": "upsampling upsamplingnearest? upsamplingbilinear? resize? interpolate? resizing?",
    "identity": "noop passthrough",
    "group": "sequential? modulelist?",
    "each": "foreach? loop?",
    # attributes
    "out": "outchannels outfeatures filters units numoutput numfilters outputdim outdim channels? features?",
    "kernel size": "kernelsize kernelshape poolsize filtersize windowsize ksize localsize? depthradius?",
    "kernel": "size k",
    "stride factor": "s strides",
    "padding": "pad pads autopad paddings?",
    "dilation": "dilationrate dilations",
    "groups": "group numgroups ngroups",
    "bias": "usebias biasterm hasbias",
    "act kind": "activation activationfn actfn nonlinearity",
    "eps": "epsilon",
    "affine": "elementwiseaffine rescaling?",
    "rate padding": "p",
    "rate": "prob probability dropoutratio droprate dropprob ratio",
    "slope": "negativeslope alpha",
    "axis axes": "dim dims",
    "axes": "perm permutation",
    "size shape": "outputsize outputshape? targetshape newshape",
    "factor": "scalefactor scale? scales? stride? upscalefactor downscalefactor blocksize",
    "keep": "keepdim keepdims",
    "min": "minval minvalue lo",
    "max": "maxval maxvalue hi",
    "p": "normtype",
    "mode": "interpolation method? paddingmode",
    "value": "constantvalue fill",
    "shift": "offset",
    "parts": "chunks numsplits numoutputs sections",
    "sizes": "splitsize? splitsizes?",
    "count_padding": "countincludepad",
    "ceil": "ceilmode",
    # values
    "same": "sameupper",
    # words of a node
    "from": "input inputs bottom source",
    "name": "top? id?",
    "repeat": "times repeats number",
    "when": "if condition enabled?",
    # keys
    "nodes from": "layers",
    "nodes": "network? architecture? backbone?",
    "params": "parameters? args?",
    "use": "include includes import imports",
    "labels": "classes? classnames",
    "lr": "learningrate",
    "batch": "batchsize",
    "epochs": "numepochs maxepochs",
    "schedule": "scheduler lrscheduler",
    "data": "dataset",
}
MEANT: Final = {word.strip("?"): tuple(ours.split()) for ours, words in OURS.items() for word in words.split()}
LOOSE: Final = {word.strip("?") for words in OURS.values() for word in words.split() if word.endswith("?")} | {
    "adam",  # words with a meaning of their own that are spelt nearly as ours
    "smish",
    "sqr",
    "tan",
}

_FOLLOWS = "remove it: it is inferred from the input"
_FIRST = "remove it: channels always come first"
_START = "remove it: `init` in `train` chooses the initial weights"
_DECAY = "remove it: `weight_decay` in `train` applies to all weights"
_NO_MASK = "remove it: attention has no mask, so every token attends to every other"
_KEEPS = "remove it: a global pool keeps both axes; a `flatten` after it drops them"
NEEDLESS: Final[dict[str, str]] = {
    **dict.fromkeys(("inchannels", "infeatures", "inputchannels", "inputdim", "indim", "inputshape"), _FOLLOWS),
    **dict.fromkeys(("numfeatures", "numchannels", "normalizedshape", "batchinputshape"), _FOLLOWS),
    **dict.fromkeys(("embeddim", "keydim"), _FOLLOWS),
    **dict.fromkeys(("dataformat", "channelslast", "memoryformat"), _FIRST),
    **dict.fromkeys(("kernelinitializer", "biasinitializer", "weightfiller", "biasfiller"), _START),
    **dict.fromkeys(("kernelregularizer", "biasregularizer", "lrmult", "decaymult"), _DECAY),
    "paddingmode": "remove it: a conv pads with zeros; for another mode, put a `pad` with a `mode` before it",
    **dict.fromkeys(("keepdim", "keepdims"), _KEEPS),
    **dict.fromkeys(("attnmask", "attentionmask", "keypaddingmask", "iscausal", "causal", "usecausalmask"), _NO_MASK),
    "batchfirst": "remove it: the batch is always the first axis",
    "depthmultiplier": "remove it: `out` is the number of the input's channels, times the multiplier",
    "sharedaxes": "remove it: `per_channel: true` is a slope for each channel",
    "inplace": "remove it: nodes never work in place",
    "device": "remove it: the device is chosen when the network runs",
    "dtype": "remove it: all values are 32-bit floats",
    "trainable": "remove it: all weights are trained",
    "requiresgrad": "remove it: all weights are trained",
    "startdim": "remove it: `flatten` makes a vector of all axes but the batch",
    "enddim": "remove it: `flatten` makes a vector of all axes but the batch",
    "returnindices": "remove it: a pool returns only values",
    "trackrunningstats": "remove it: running statistics are always tracked",
}
_YES, _NO = ("true",), ("false",)
DEFAULTS: Final[dict[str, tuple[str, ...] | None]] = {
    **dict.fromkeys(("inchannels", "infeatures", "inputchannels", "inputdim", "indim", "numfeatures"), None),
    **dict.fromkeys(("numchannels", "embeddim"), None),
    "dataformat": ("channels_first", "nchw"),
    "channelslast": _NO,
    "paddingmode": ("zeros",),
    **dict.fromkeys(("keepdim", "keepdims", "batchfirst", "trainable", "requiresgrad", "trackrunningstats"), _YES),
    **dict.fromkeys(("iscausal", "causal", "usecausalmask", "returnindices"), _NO),
    "depthmultiplier": ("1",),
    "inplace": None,
    "device": None,
    "dtype": ("float32", "torch.float32"),
    "startdim": ("1",),
    "enddim": ("-1",),
}
