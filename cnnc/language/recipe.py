"""The training recipe: the fields of `train:`, which are also the options of `cnnc train`.

A field that is added here becomes a key of the spec, a row of the reference and an option of the command line.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cnnc.language.part import Part
from cnnc.ops.attributes import Accepts

Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""A pattern of weights; see `cnnc.weights.patterns`."""


OPTIONS = ("weights", "map", "key", "set", "device", "devices", "sweep", "find_lr", "resume", "live", "out")
"""The options of `cnnc train` that are no fields of the recipe: they are of one call of the command."""


def _word(value: Any) -> Any:
    """Convert an integer to a string: `precision: 32` means "32"."""
    return str(value) if type(value) is int else value


class Train(Part):
    """The training recipe. `batch`, and everything counted in steps, applies to the whole run on all devices."""

    @classmethod
    def instead_of(cls, key: str, value: object) -> str | None:
        name = key.replace("-", "_")
        if name not in OPTIONS:
            return None
        shown = "" if isinstance(value, bool) else f" {value}" if isinstance(value, str | int) else " …"
        return f"this is an option of the command: `cnnc train … --{name.replace('_', '-')}{shown}`"

    data: str | None = Field(None, description="a data set's name, or a path")
    masks: str | None = Field(None, description="the folder of masks, if they are not in `masks` beside `images`")
    shuffle_buffer: int = Field(
        4096, ge=1, le=2**30, description="examples among which those of tar shards are shuffled, besides the shards"
    )
    batch: int = Field(128, ge=1, le=2**20, description="examples per batch")
    epochs: int = Field(10, ge=1, le=10**6, description="passes over the training set")
    optimizer: Literal["sgd", "adamw", "rmsprop", "nadam", "lamb"] = Field("sgd", description="the optimizer")
    lr: float = Field(0.1, gt=0, le=1e6, description="the learning rate, before its schedule")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd and rmsprop")
    nesterov: bool = Field(False, description="Nesterov momentum, for sgd")
    weight_decay: float = Field(0.0, ge=0, le=1e6, description="weight decay; decoupled in adamw, nadam and lamb")
    schedule: Literal["constant", "step", "cosine", "polynomial", "one_cycle"] = Field(
        "constant", description="how the learning rate changes from epoch to epoch"
    )
    step_size: int = Field(30, ge=1, le=10**6, description="epochs between the drops of `schedule: step`")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of the learning rate at each drop")
    power: float = Field(1.0, gt=0, le=100, description="exponent of `schedule: polynomial`")
    warmup: int = Field(0, ge=0, le=10**6, description="epochs of linear warm-up")
    warmup_steps: int = Field(0, ge=0, le=2**40, description="steps of linear warm-up, instead of epochs")
    ema: float | None = Field(None, gt=0, lt=1, description="decay of a moving average of the weights, which is saved")
    best: Literal["accuracy", "loss", "macro_f1", "f1", "mean_iou", "pixel_accuracy", "mae", "rmse"] | None = Field(
        None, description="the test metric that decides the best epoch; by default the first of the task"
    )
    patience: int | None = Field(None, ge=1, le=10**6, description="end after this many epochs without a better one")
    init: Literal["default", "xavier", "kaiming"] = Field(
        "default", description="initialization of the weights of conv and linear"
    )
    loss: Literal["cross_entropy", "dice", "binary_cross_entropy", "mse", "l1", "huber"] | None = Field(
        None, description="the loss; by default the first of those for the kind of the output"
    )
    augment: list[Literal["flip", "crop", "color", "resized_crop", "randaugment", "trivialaugment"]] = Field(
        [], description="random changes to each picture"
    )
    rotation: float = Field(0.0, ge=0, le=180, description="the largest random rotation of a picture, in degrees")
    erasing: float = Field(0.0, ge=0, le=1, description="the probability that a part of a picture is erased")
    mixup: float = Field(0.0, ge=0, le=100, description="alpha of mixup, which blends pairs of pictures; 0 is off")
    cutmix: float = Field(0.0, ge=0, le=100, description="alpha of cutmix, which pastes parts of others; 0 is off")
    class_weights: Literal["balanced"] | list[Annotated[float, Field(ge=0, le=1e6)]] | None = Field(
        None, description="the weight of each class in the loss; `balanced`: the rarer, the higher"
    )
    sampler: Literal["shuffle", "balanced"] = Field(
        "shuffle", description="the examples of an epoch: each once, or of all classes equally often"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="the part of the target spread over all classes")
    clip: float | None = Field(None, gt=0, le=1e9, description="the largest norm of the gradient")
    accumulate: int = Field(1, ge=1, le=2**16, description="batches per optimizer step")
    aux_weight: float = Field(0.3, ge=0, le=1e6, description="loss weight of train-only outputs without `weight`")
    seed: int | None = Field(None, ge=0, lt=2**63, description="random seed; also selects deterministic kernels")
    limit: int | None = Field(None, ge=1, le=2**40, description="use only this many examples, the first ones")
    val_split: float | None = Field(None, gt=0, lt=1, description="test on this fraction of the training set")
    workers: int | None = Field(None, ge=0, le=1024, description="processes that read picture files; default: up to 8")
    cache: bool = Field(False, description="keep pictures that were read from files in memory, for the next epochs")
    skip_unreadable: bool = Field(False, description="leave out pictures that cannot be read")
    precision: Annotated[
        Literal["32", "bf16", "16", "auto"],
        BeforeValidator(_word),
        Accepts(Literal["32", "bf16", "16", "auto", 32, 16]),
        Field(description="precision of the forward and backward pass; auto: bf16 if the hardware has it"),
    ] = "32"
    tf32: bool = Field(False, description="multiply float32 with 10-bit mantissas, on GPUs that support it")
    channels_last: bool | None = Field(None, description="channels-last memory format; default: if it is faster")
    compile: bool = Field(False, description="train through `torch.compile`")
    fresh: list[Pattern] = Field([], description="weights to draw anew, although a run starts from `--weights`")
    freeze: list[Pattern] = Field([], description="weights that are not trained, with the statistics of batch norms")
    lr_scale: dict[Pattern, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        {}, description="factors of the learning rate by weights; the last that matches counts"
    )
    lr_decay: float = Field(
        1.0, gt=0, le=1, description="factor of the learning rate from each layer to the one before"
    )
    recompute: bool = Field(False, description="keep less for the backward pass, and compute blocks a second time")
    save_every: int | None = Field(None, ge=1, le=10**6, description="keep the weights of every so many epochs")
    save_steps: int | None = Field(None, ge=1, le=2**40, description="write a checkpoint every so many steps, too")

    @model_validator(mode="after")
    def _fits_together(self) -> "Train":
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(f"has `momentum`, which {self.optimizer} does not take")
        if self.nesterov and not (self.momentum and self.optimizer == "sgd"):
            raise ValueError("has `nesterov`, which needs `optimizer: sgd` and a `momentum`")
        if self.warmup and self.warmup_steps:
            raise ValueError("has both `warmup` and `warmup_steps`: one is enough")
        if self.schedule == "one_cycle" and (self.warmup or self.warmup_steps):
            raise ValueError("has a warm-up, which `schedule: one_cycle` has of its own")
        return self
