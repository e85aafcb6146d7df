"""Find the largest batch that fits the memory: `cnnc train --batch auto`.

On a GPU, training steps with doubled batches run until its memory is exhausted. On a CPU that would end the process, so
the batch is computed: what the network keeps for each example, from `cnnc.analysis.memory`, in the free memory.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnc.analysis.memory import memory
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph
from cnnc.language.recipe import Train
from cnnc.train.devices import assemble, settings
from cnnc.train.epoch_order import Range
from cnnc.train.recipe import merged_recipe
from cnnc.train.setup import Setup, set_up
from cnnc.train.share import Share

MOST = 2**20  # the largest `batch` of a recipe
SPARE = 2  # the libraries' own buffers and copies take about as much as the network keeps


def largest_batch(graph: Graph, given: Mapping[str, Any], device: str = "auto") -> int:
    """Return the largest power of two that fits the memory and the training set; raises E510 if none does."""
    recipe = merged_recipe(graph.train, {**given, "batch": 1})
    with settings(recipe):
        team = assemble(recipe, device, unused=sum(not each.train_only for each in graph.outputs) > 1)
        setup = set_up(graph, recipe.model_copy(update={"batch": 2}), team, None, lambda text: None)
        examples = len(setup.train)
        if team.device.type == "cuda":
            return _largest(lambda batch: _fits_gpu(setup, recipe, batch), examples, graph)
        free = free_memory()
        return _largest(lambda batch: _fits_cpu(graph, batch, free), examples, graph)


def _largest(fits: Callable[[int], bool], examples: int, graph: Graph) -> int:
    """Return the largest power of two up to the number of examples for which `fits` is true."""
    batch = 1
    while 2 * batch <= min(MOST, examples) and fits(2 * batch):
        batch *= 2
    if batch == 1 and not fits(1):
        message = f"not even one example of `{graph.name}` fits the memory in training"
        raise CnncError.of(
            Code.DATA_MISFIT, message, help="use a smaller input, or `recompute` for a network of blocks"
        )
    return batch


def _fits_cpu(graph: Graph, batch: int, free: int) -> bool:
    found = memory(graph, batch)
    if found.training is None:
        message = f"the memory that `{graph.name}` takes depends on the size of its input, which is open"
        raise CnncError.of(Code.DATA_MISFIT, message, help="choose a number for `batch`")
    return SPARE * found.training <= free


def _fits_gpu(setup: Setup, recipe: Train, batch: int) -> bool:
    """Whether a training step with a batch of this size fits; the learner's weights are of no use afterwards."""
    import torch

    whole = Range(0, batch)
    try:
        images, targets = next(iter(setup.train.batches(None, [Range(0, min(batch, len(setup.train)))])))
        copies = -(-batch // len(images))
        images, targets = torch.cat([images] * copies)[:batch], torch.cat([targets] * copies)[:batch]
        setup.learner.begin()
        setup.learner.step([(images, targets, Share(recipe.seed or 0, 0, whole, whole))], batch, 0.0)
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


def free_memory() -> int:
    """Return the bytes of memory that this process may still take, also within the limit of a container."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        import os

        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    limit, used = (_number(Path(f"/sys/fs/cgroup/memory.{name}")) for name in ("max", "current"))
    return free if limit is None or used is None else min(free, limit - used)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no container, or `max`, which is no limit
        return None
