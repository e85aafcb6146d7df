"""The devices of a run: one, or several with a process each, all through lightning-fabric.

In: the recipe, and what the command line says of devices. Out: a `Team`: this process's place among the ranks, and what
ranks do together. Where there is one rank, nothing is sent anywhere.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cnnc.diagnostics import CnncError, Code
from cnnc.language.model import Train

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor

PATIENCE = timedelta(minutes=10)  # how long ranks wait for one that says nothing
AGREE_EVERY = 16  # steps between two questions whether any rank wants to stop
UNSAID = 75  # the exit code of a rank that failed and leaves it to another one to say why
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


class Team:
    """The ranks of a run, seen from one of them."""

    def __init__(self, fabric: "Fabric") -> None:
        self.fabric, self.device = fabric, fabric.device
        self.rank, self.world, self.local = fabric.global_rank, fabric.world_size, _local_world()
        # talk between hosts alone: a collective on the devices would wait for them
        self._hosts: Any = None
        if self.world > 1:
            import torch.distributed as dist
            from torch.distributed import TCPStore  # type: ignore[attr-defined]

            self._hosts = dist.new_group(backend="gloo", timeout=PATIENCE)
            where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            self._store = TCPStore(*where, is_master=False, timeout=timedelta(seconds=10))

    @contextmanager
    def one_voice(self) -> Iterator[None]:
        """Of the errors that one rank's trouble brings upon all, let the first through; E515 where a rank is gone.

        The other ranks end without a word, with the exit code UNSAID.
        """
        if self.world == 1:
            yield
            return
        try:
            yield
        except CnncError:
            if not self._is_first():
                raise SystemExit(UNSAID) from None
            raise
        except RuntimeError as error:
            if not _is_loss_of_peer(error):
                raise
            if not self._is_first():
                raise SystemExit(UNSAID) from None
            raise CnncError.of(
                Code.RANK_DIED,
                f"another process of the {self.world} that train this network has died",
                help="what it said stands above, if it could; `--resume` goes on from the last checkpoint",
            ) from error

    def _is_first(self) -> bool:
        try:
            return bool(self._store.add("cnnc/failed", 1) == 1)
        except RuntimeError:  # the process that kept the store is the one that died
            return True

    def any_wants(self, wish: int, step: int | None = None) -> int:
        """The largest wish of all ranks; with a `step`, 0 where it is not yet time to ask."""
        if self._hosts is None:
            return wish
        if step is not None and step % AGREE_EVERY:
            return 0
        import torch
        import torch.distributed as dist

        value = torch.tensor(wish)
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self._hosts)
        return int(value)

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, on every rank."""
        if self._hosts is None:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def sum(self, values: "Tensor") -> "Tensor":
        """The sum over the ranks, on the device."""
        if self.world > 1:
            import torch.distributed as dist

            dist.all_reduce(values)
        return values

    def share_buffers(self, module: "torch.nn.Module") -> None:
        """Give every rank the first one's running statistics."""
        if self.world > 1:
            import torch.distributed as dist

            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def in_turn(self, work: Any) -> Any:
        """What `work()` gives, on the first rank first: it fetches what the others then find."""
        if self.rank == 0:
            result = work()
        self.gather(None)
        return result if self.rank == 0 else work()


def assemble(recipe: Train, accelerator: str, *, unused: bool) -> Team:
    """Start on the device and among the ranks that the environment says (torchrun's words); raises E514.

    `accelerator` is auto, cpu, cuda or mps. `unused`: whether some outputs take no part in the loss.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    for name in ("lightning_fabric", "lightning.fabric"):  # it turns its remarks on while it is imported
        logging.getLogger(name).setLevel(logging.WARNING)
    local, world = _local_world(), int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = _available(accelerator, local)
    if accelerator == "cpu" and recipe.precision == "16":
        raise CnncError.of(
            Code.NO_DEVICE, "`precision: 16` needs a GPU, and this runs on the CPU", help="take bf16, or 32"
        )
    strategy: Any = DDPStrategy(find_unused_parameters=unused, timeout=PATIENCE) if world > 1 else "auto"
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
    """Torch's global settings as the recipe has them, and as they were behind it."""
    import torch

    before = (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic = recipe.seed is not None
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
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


def _precision(recipe: Train, accelerator: str) -> str:
    """What `auto` means: bf16 where the device has instructions for it, which is about twice as fast, else float32."""
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
    """The accelerator that `auto` means, or the one asked for where there are `count` of it; raises E514."""
    import torch

    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": count}
    if accelerator == "auto":
        return next(name for name, there in found.items() if there >= count)
    if found[accelerator] < count:
        some = f"there {'is' if found[accelerator] == 1 else 'are'} {found[accelerator] or 'none'}"
        raise CnncError.of(
            Code.NO_DEVICE,
            f"{count} {accelerator} device{'s' * (count > 1)} asked for, and {some}",
            help="`--device cpu` runs everywhere",
        )
    return accelerator
