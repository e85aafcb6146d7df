"""Find the largest batch that fits the memory: `cnnc train --batch auto`.

The batch is computed: what the network keeps for each example, from `cnnc.analysis.memory`, in the free memory. On a
GPU, training steps with this batch, and larger or smaller ones, then run to find the largest that fits. On a CPU, a
step that does not fit would end the process.
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
    import torch

    recipe = merged_recipe(graph.train, {**given, "batch": 1})
    with settings(recipe):
        team = assemble(recipe, device, unused=sum(not each.train_only for each in graph.outputs) > 1)
        setup = set_up(graph, recipe.model_copy(update={"batch": 2}), team, None, lambda text: None)
        most = min(MOST, len(setup.train))
        on_gpu = team.device.type == "cuda"
        free = torch.cuda.mem_get_info(team.device)[0] if on_gpu else free_memory()
        is_open = memory(graph, 1).training is None
        found = 1 if on_gpu and is_open else largest(lambda batch: _is_enough(graph, batch, free), most, 1)
        if on_gpu:
            found = largest(lambda batch: _fits_gpu(setup, recipe, batch), most, max(found, 1))
    if not found:
        message = f"not even one example of `{graph.name}` fits the memory in training"
        raise CnncError.of(
            Code.DATA_MISFIT, message, help="use a smaller input, or `recompute` for a network of blocks"
        )
    return found


def largest(fits: Callable[[int], bool], most: int, start: int) -> int:
    """Return the largest power of two up to `most` for which `fits` is true, tried from `start` on; 0 if none is."""
    batch = start = min(start, 1 << (most.bit_length() - 1))
    while batch and not fits(batch):
        batch //= 2
    while batch >= start and 2 * batch <= most and fits(2 * batch):
        batch *= 2
    return batch


def _is_enough(graph: Graph, batch: int, free: int) -> bool:
    """Whether the computed memory of a training step is free; raises E510 if it cannot be computed."""
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
