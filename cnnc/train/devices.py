"""The devices of a run, one or several, with one process each, through lightning-fabric.

Takes the recipe and the device options of the command line. Returns a `Team`: this process's rank, and the collective
operations of all ranks. With one rank, nothing is communicated.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code, counted
from cnnc.language.recipe import Train

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor

TIMEOUT = timedelta(minutes=10)  # how long ranks wait for a silent one
AGREE_EVERY = 16  # steps between two checks whether any rank must stop
SILENT_FAILURE = 75  # the exit code of a rank that failed while another rank reports the error
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


class Team:
    """The ranks of a run, seen from one of them."""

    def __init__(self, fabric: "Fabric") -> None:
        self.fabric, self.device = fabric, fabric.device
        self.rank, self.world, self.local = fabric.global_rank, fabric.world_size, _local_world()
        # a group on the CPUs: a collective on the devices would wait for their queued work
        self._hosts: Any = None
        if self.world > 1:
            import torch.distributed as dist
            from torch.distributed import TCPStore  # type: ignore[attr-defined]

            self._hosts = dist.new_group(backend="gloo", timeout=TIMEOUT)
            where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            self._store = TCPStore(*where, is_master=False, timeout=timedelta(seconds=10))

    @contextmanager
    def report_once(self) -> Iterator[None]:
        """Let only the first failing rank report an error; raises E515 if another rank has died.

        The other ranks exit silently, with the code SILENT_FAILURE.
        """
        if self.world == 1:
            yield
            return
        try:
            yield
        except CnncError:
            if not self._is_first():
                raise SystemExit(SILENT_FAILURE) from None
            raise
        except RuntimeError as error:
            if not _is_loss_of_peer(error):
                raise
            if not self._is_first():
                raise SystemExit(SILENT_FAILURE) from None
            raise CnncError.of(
                Code.RANK_DIED,
                f"another process of the {self.world} that train this network has died",
                help="see its output above, if there is any; `--resume` continues from the last checkpoint",
            ) from error

    def _is_first(self) -> bool:
        try:
            return bool(self._store.add("cnnc/failed", 1) == 1)
        except RuntimeError:  # the process that hosted the store is the one that died
            return True

    def any_signal(self, signal: int, step: int | None = None) -> int:
        """Return the largest signal number of all ranks; with a `step`, 0 unless this step is one to check at."""
        if self._hosts is None:
            return signal
        if step is not None and step % AGREE_EVERY:
            return 0
        import torch
        import torch.distributed as dist

        value = torch.tensor(signal)
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self._hosts)
        return int(value)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, on every rank."""
        if self._hosts is None:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def sum(self, values: "Tensor") -> "Tensor":
        """Return the sum over the ranks, on the device."""
        if self.world > 1:
            import torch.distributed as dist

            dist.all_reduce(values)
        return values

    def share(self, tensors: "Iterable[Tensor]") -> None:
        """Copy the first rank's tensors to every rank."""
        if self.world > 1:
            import torch.distributed as dist

            for each in tensors:
                dist.broadcast(each, 0)

    def in_turn(self, work: Any) -> Any:
        """Return `work()`, run on the first rank before the others: it downloads files that they then find."""
        if self.rank == 0:
            result = work()
        self.gather(None)
        return result if self.rank == 0 else work()


def assemble(recipe: Train, accelerator: str, *, unused: bool) -> Team:
    """Join the ranks that torchrun's environment variables describe, on a device; raises E514.

    `accelerator` is auto, cpu, cuda or mps. `unused`: whether some outputs do not contribute to the loss.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    local, world = _local_world(), int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = _available(accelerator, local)
    if accelerator == "cpu" and recipe.precision == "16":
        raise CnncError.of(
            Code.NO_DEVICE, "`precision: 16` needs a GPU, but this run uses the CPU", help="use bf16 or 32"
        )
    strategy: Any = DDPStrategy(find_unused_parameters=unused, timeout=TIMEOUT) if world > 1 else "auto"
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=world // local,
        strategy=strategy,
        precision=PRECISIONS[_precision(recipe, accelerator)],  # type: ignore[arg-type]
    )
    fabric.launch()
    return Team(fabric)


@contextmanager
def settings(recipe: Train) -> Iterator[None]:
    """Set the global settings of torch and Fabric by the recipe, and restore them afterwards."""
    import lightning_fabric  # noqa: F401 - its import sets the level of its logger
    import torch

    logger, variable = logging.getLogger("lightning_fabric"), "CUBLAS_WORKSPACE_CONFIG"
    before = (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    level, workspace = logger.level, os.environ.get(variable)
    logger.setLevel(logging.WARNING)
    deterministic = recipe.seed is not None
    if deterministic and workspace is None:
        os.environ[variable] = ":4096:8"
    torch.set_float32_matmul_precision("high" if recipe.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = recipe.tf32
    torch.backends.cudnn.benchmark = not deterministic
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:3]
        torch.use_deterministic_algorithms(before[3], warn_only=before[4])
        logger.setLevel(level)
        if workspace is None:
            os.environ.pop(variable, None)


def _precision(recipe: Train, accelerator: str) -> str:
    """Resolve `auto`: bf16 if the device has instructions for it (about twice as fast), else float32."""
    import torch

    if recipe.precision != "auto":
        return recipe.precision
    if accelerator == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    able = torch.cpu.get_capabilities() if accelerator == "cpu" else {}
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "32"


def _is_loss_of_peer(error: RuntimeError) -> bool:
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "peer", "nccl"))


def _local_world() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))


def _available(accelerator: str, count: int) -> str:
    """Resolve `auto`, or check that there are `count` devices of an accelerator; raises E514."""
    import torch

    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": count}
    if accelerator == "auto":
        return next(name for name, there in found.items() if there >= count)
    if found[accelerator] < count:
        raise CnncError.of(
            Code.NO_DEVICE,
            f"cannot train on {counted(count, f'{accelerator} device')}, found {found[accelerator]}",
            help="use `--device cpu`, which works everywhere",
        )
    return accelerator
