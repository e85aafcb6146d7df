"""Modes of modules during a trace: dropouts and batch norms in training, everything else in evaluation.

Functional dropouts have no module of their own: they take the mode of the module around them. While a module is traced,
the modes of those that are not torch's own are marked, and a dropout that takes such a mark is in training.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


class _Evaluation:
    """The mode of a module in evaluation, as one that can be recognised."""

    def __bool__(self) -> bool:
        return False


@contextmanager
def layers_in_training(module: "nn.Module") -> Iterator[None]:
    """Put batch norms and dropouts in training, everything else in evaluation."""
    from torch import nn

    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    kinds = (*norms, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    with modes_kept(module):
        for each in module.modules():
            each.training = isinstance(each, kinds)
        yield


@contextmanager
def functional_dropouts(module: "nn.Module") -> Iterator[None]:
    """Let functional dropouts drop, of which the mode is that of a module in evaluation.

    A function of torch's C++ that takes such a mode raises TypeError.
    """
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    dropouts = (functional.dropout, functional.dropout2d)

    class Dropping(TorchFunctionMode):
        def __torch_function__(
            self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            drops = function in dropouts
            given = [drops if isinstance(each, _Evaluation) else each for each in args]
            named = {key: drops if isinstance(each, _Evaluation) else each for key, each in (kwargs or {}).items()}
            return function(*given, **named)

    with modes_kept(module), Dropping():
        for each in module.modules():
            if not each.training and not type(each).__module__.startswith("torch."):
                each.training = _Evaluation()  # type: ignore[assignment]
        yield


@contextmanager
def modes_kept(module: "nn.Module") -> Iterator[None]:
    """Restore the mode of each module at the end."""
    modes = {each: each.training for each in module.modules()}
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode
