"""The inputs and outputs of a model's graph: whether they fit its contract, and a contract for models without one.

Takes a `Runner`, whose `Port`s are those of the ONNX graph, and a `Contract`. Raises CnncError (E502) if a picture, or
the outputs, could not be what the contract says.
"""

from cnnc.artifacts.contract import Contract, InputContract
from cnnc.diagnostics import CnncError, Code
from cnnc.inference.session import Port, Runner
from cnnc.ops.types import MODES

FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")
DTYPES = {  # numpy's names of the types that an array can have
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}


def guess(path: str, runner: Runner) -> Contract:
    """Return a contract for a model without one: its inputs that look like pictures, and its outputs of numbers."""
    outputs = tuple(port.name for port in runner.outputs if port.type in DTYPES)
    if not outputs:
        raise unsuited(path, "it has no outputs" if not runner.outputs else "its outputs are not arrays of numbers")
    if not runner.inputs:
        raise unsuited(path, "it has no inputs")
    pictures = tuple(
        InputContract(name=port.name, shape=port.shape[1:], mode=mode)
        for port in runner.inputs
        if (mode := _mode(port)) is not None
    )
    nothing = InputContract(name=runner.inputs[0].name, shape=(1,), mode=None)  # all inputs need values
    return Contract(input=(*pictures, nothing)[0], outputs=outputs, scores=None, more_inputs=pictures[1:])


def _mode(port: Port) -> str | None:
    sides_known = len(port.shape) == 4 and all(side is None or 0 < side < 2**31 for side in port.shape[1:])
    return MODES.get(port.shape[1] or 0) if sides_known and port.type == "tensor(float)" else None


def check_ports(path: str, contract: Contract, runner: Runner) -> None:
    """Raise E502 unless the graph has the contract's inputs and outputs, against which pictures are checked."""
    inputs = {port.name: port for port in runner.inputs}
    outputs = {port.name: port for port in runner.outputs}
    for about in contract.inputs:
        if about.name not in inputs:
            raise unsuited(path, f"its contract names {about.name!r}, which is not in its graph")
        port = inputs[about.name]
        dtype, shape = about.array
        if port.shape[1:] != shape and about.mode is not None:
            raise unsuited(path, f"its input is {show(port)}, but its contract has {list(shape)}")
        if about.mode and (DTYPES.get(port.type) != dtype or port.shape[0] not in (None, 1)):
            raise unsuited(path, f"its input {show(port)} does not take one {dtype} picture")
    for name in contract.outputs:
        if name not in outputs:
            raise unsuited(path, f"its contract names {name!r}, which is not in its graph")
        if outputs[name].type not in DTYPES:
            raise unsuited(path, f"its output {show(outputs[name])} is not an array of numbers")


def show(port: Port) -> str:
    """Return a port in words: its name, type and shape."""
    sides = ", ".join("?" if side is None else str(side) for side in port.shape)
    return f"{port.name!r} {port.type} [{sides}]"


def unsuited(path: str, reason: str, help: str | None = None) -> CnncError:
    """Return the error E502 for a model that `infer` cannot use."""
    return CnncError.of(Code.MODEL_UNSUITED, f"infer cannot use the model {path}: {reason}", help=help or _HELP)


_HELP = (
    "use a model with a float32 input [N, 1 or 3, height, width]; --input NAME=FILE gives the values of other inputs"
)
