"""Write the int8 or fp16 version of an ONNX file, and compare it with the float32 one before it is published.

Takes the float32 file, a staging folder, the request and inputs; returns a `Reduced`. Raises E409 if too much accuracy
is lost, E410 if the model has no such version, and the errors of reading pictures.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.artifacts import contract as keys
from cnnc.artifacts.contract import Contract
from cnnc.artifacts.metadata import WrittenFile, written
from cnnc.diagnostics import CnncError, Code, counted
from cnnc.files import onnx_seal
from cnnc.files.weights_stamp import digest
from cnnc.files.write import stage_file
from cnnc.precision import calibration, int8, keep_float
from cnnc.precision.choices import Calibration, Precision
from cnnc.precision.fidelity import Fidelity, compare
from cnnc.precision.fp16 import in_fp16, require_range
from cnnc.precision.gate import accepts, refused, remarks
from cnnc.precision.latency import Latency, latency
from cnnc.precision.onnxruntime_tools import quantizing, runner
from cnnc.precision.request import Request
from cnnc.precision.samples import Samples
from cnnc.version import __version__

if TYPE_CHECKING:
    import onnx

    from cnnc.precision.fidelity import Feed, Run

FEW = 32  # calibration pictures that rank the layers
CLOSE = 0.02  # relative error of fp16 for random inputs
RANKED = ("classes", "segmentation", None)  # kinds of outputs whose best class counts; None is unknown
RANDOM, TESTED, OTHERS = "random inputs", "held-out pictures", "pictures that did not calibrate"
LARGEST = 2**31 - 2**20  # bytes of a model that protobuf can hold


@dataclass(frozen=True, eq=False)
class Reduced:
    """A staged file of less precision: its distance from the float32 file, its speed, the nodes left in float32."""

    precision: str
    file: WrittenFile
    fidelity: Fidelity
    latency: Latency
    compared_on: str
    calibration: Mapping[str, Any] | None = None
    in_float: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The record for the manifest."""
        return {
            "file": self.file.path.name,
            "compared_on": self.compared_on,
            **self.fidelity.as_json(),
            "latency": self.latency.as_json(),
            "calibration": self.calibration,
            "in_float32": list(self.in_float),
        }

    def __str__(self) -> str:
        far = str(self.fidelity) if self.compared_on != RANDOM else f"within {self.fidelity.relative:.1e} of float32"
        kept = f", {counted(len(self.in_float), 'layer')} in float32" if self.in_float else ""
        return f"{far}, {self.latency}{kept}"


@dataclass(frozen=True, eq=False)
class FloatModel:
    """The float32 file: its model, its metadata and contract; `feeds` yields random inputs for it."""

    path: Path
    model: "onnx.ModelProto"
    metadata: Mapping[str, str]
    contract: Contract
    batch: int | None = None
    random: "Sequence[Feed]" = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.model.graph.output)


@dataclass(frozen=True, eq=False)
class Reducer:
    """Makes the versions of one file; `folder` takes temporary files."""

    source: FloatModel
    request: Request
    samples: Samples | None
    folder: Path
    progress: Callable[[str], None] = lambda stage: None
    reference: "Run" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", runner(self.source.path))

    def reduce(self, precision: str, target: Path) -> Reduced:
        """Write the version of this precision to a staged path."""
        self.progress(f"writing {target.name}")
        return self._int8(target) if precision == Precision.INT8 else self._fp16(target)

    def _fp16(self, target: Path) -> Reduced:
        with quantizing(self.folder):
            model = in_fp16(self.source.model)
        found = self._judge(model)
        if self.samples is None and not found.relative <= CLOSE:
            require_range(self.source.model, self.source.random[0])
            raise CnncError.of(
                Code.ACCURACY_LOST,
                f"the fp16 file is not accurate enough: its outputs differ by {found.relative:.1%} for random inputs, "
                f"{CLOSE:.0%} are accepted",
                help="nothing was written; leave out --precision fp16",
            )
        if self.samples is not None and not accepts(found, self.request.max_drop):
            require_range(self.source.model, next(iter(self._held_out())))
            raise refused(Precision.FP16, found, self.request.max_drop, (), 0)
        return self._written(Precision.FP16, model, target, found)

    def _int8(self, target: Path) -> Reduced:
        assert self.samples is not None  # the request has been checked
        int8.require_layers(self.source.model, self.source.path)
        with quantizing(self.folder):
            model = int8.typed(int8.prepared(self.source.model), self.folder)
        self.progress("calibrating")
        with quantizing(self.folder):
            ranges = calibration.ranges(
                self.folder / int8.TYPED,
                self._calibrating(),
                Calibration(self.request.calibration),
                int8.OPS,
                self.folder,
            )
        in_float: tuple[str, ...] = ()
        found, reduced = self._quantized(model, ranges, in_float)
        if not accepts(found, self.request.max_drop):
            in_float, found, reduced = self._with_float_layers(model, ranges, found)
        about = {"method": self.request.calibration, "pictures": len(self.samples.calibration)}
        return self._written(Precision.INT8, reduced, target, found, about, in_float)

    def _quantized(
        self, model: "onnx.ModelProto", ranges: Any, in_float: Sequence[str]
    ) -> "tuple[Fidelity, onnx.ModelProto]":
        with quantizing(self.folder):
            reduced = int8.quantized(model, ranges, in_float=in_float)
        self.progress(
            "comparing int8 with float32" + (f", {counted(len(in_float), 'layer')} in float32" if in_float else "")
        )
        return self._judge(reduced), reduced

    def _with_float_layers(
        self, model: "onnx.ModelProto", ranges: Any, without: Fidelity
    ) -> "tuple[tuple[str, ...], Fidelity, onnx.ModelProto]":
        """Return the first accepted model with the worst layers in float32; raises E409 if none is.

        `without` is the fidelity of the model without any.
        """
        first = next(iter(self._calibrating()))
        few = [first, *islice(self._calibrating(), 1, FEW // len(first[self.source.contract.input.name]))]
        ranked = keep_float.worst_first(
            model, ranges, self.reference, self.source.outputs, few, self.folder, self.progress
        )
        best, kept = without, tuple[str, ...]()
        for count in keep_float.steps(len(ranked)):
            in_float = tuple(ranked[:count])
            found, reduced = self._quantized(model, ranges, in_float)
            if accepts(found, self.request.max_drop):
                return in_float, found, reduced
            if (found.drop or 0, -found.first_snr) < (best.drop or 0, -best.first_snr):
                best, kept = found, in_float
        raise refused(Precision.INT8, best, self.request.max_drop, kept, len(ranked))

    def _judge(self, model: "onnx.ModelProto") -> Fidelity:
        feeds: Iterable[Feed] = self.source.random if self.samples is None else self._held_out()
        labels = None if self.samples is None else self.samples.labels
        classes = self.samples is not None and self.source.contract.described[0].kind in RANKED
        return compare(self.reference, runner(model), self.source.outputs, feeds, labels, classes=classes)

    def _calibrating(self) -> "Iterable[Feed]":
        assert self.samples is not None
        return self.samples.calibration_feeds(self.source.contract.input, self.source.batch)

    @property
    def _compared_on(self) -> str:
        if self.samples is None:
            return RANDOM
        return TESTED if self.samples.tested else OTHERS

    def _held_out(self) -> "Iterable[Feed]":
        assert self.samples is not None
        return self.samples.held_out_feeds(self.source.contract.input, self.source.batch)

    def _written(
        self,
        precision: str,
        model: "onnx.ModelProto",
        target: Path,
        found: Fidelity,
        about: Mapping[str, Any] | None = None,
        in_float: tuple[str, ...] = (),
    ) -> Reduced:
        said = {"precision": precision, "calibration": about, "in_float32": list(in_float)}
        _describe(model, self.source.metadata, said)
        stage_file(target, lambda file: file.writelines(onnx_seal.sealed([model.SerializeToString()])))
        feed = self.source.random[0] if self.samples is None else next(iter(self._held_out()))
        if self.source.batch is None:
            feed = {name: each[:1] for name, each in feed.items()}
        self.progress("measuring the latency")
        time = latency(self.source.path, target, feed)
        calibrated = about["pictures"] if about else None
        return Reduced(
            precision,
            written(target),
            found,
            time,
            self._compared_on,
            about,
            in_float,
            remarks(found, calibrated, seen=self._compared_on == OTHERS),
        )


def _describe(model: "onnx.ModelProto", metadata: Mapping[str, str], said: Mapping[str, Any]) -> None:
    """Give a reduced model the metadata of its source, with the hash of its own weights, and its producer."""
    from onnx import helper, numpy_helper

    own = dict(metadata)
    for key in (onnx_seal.KEY, onnx_seal.DATA):
        own.pop(key, None)
    own[keys.PRECISION] = json.dumps(said)
    if keys.WEIGHTS_SHA256 in own:
        own[keys.FLOAT_WEIGHTS_SHA256] = own[keys.WEIGHTS_SHA256]
        own[keys.WEIGHTS_SHA256] = digest({each.name: numpy_helper.to_array(each) for each in model.graph.initializer})
    model.producer_name, model.producer_version = "cnnc", __version__
    del model.metadata_props[:]
    helper.set_model_props(model, own)
