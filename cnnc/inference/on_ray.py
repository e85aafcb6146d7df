"""Run a model on pictures on the machines of a Ray cluster, with Ray Data.

Takes the model's path and the pictures, and yields their results in order, as `predict.infer_found` does on one
machine. Ray splits the pictures, starts an actor with a session of its own for each share of a machine, and starts an
actor again if it dies. All machines need cnnc, and the model and the pictures at the same paths.
"""

import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cnnc.diagnostics.missing_packages import require
from cnnc.inference.output_folder import OutputFolder
from cnnc.inference.predict import infer_found, load_model
from cnnc.inference.providers import output_suppressed
from cnnc.inference.results import Failed, Result

SHARE = 32  # pictures that an actor takes at once, and takes again after a crash


@dataclass(frozen=True, slots=True)
class RayJob:
    """What each actor does: the model, the arguments of `load_model`, and those of `infer_found`."""

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    top_k: int = 5
    batch: int = 1
    folder: OutputFolder | None = None


def infer_on_ray(
    job: RayJob, pictures: Iterable[str | Failed], *, workers: int | None = None
) -> Iterator[Result | Failed]:
    """Yield the result of each picture, in order; `workers` actors, or as many as the cluster has room for.

    It uses the running cluster that Ray finds (`RAY_ADDRESS`), or starts one on this machine. All paths are in memory.
    Raises CnncError: E513 without Ray.
    """
    require(["ray"], "running on a cluster")
    import ray

    items = [{"picture": pickle.dumps(each)} for each in pictures]
    with _cluster() as resources:
        if not items:
            return
        needs = _needs(job, resources)
        share = max(SHARE, job.batch)
        shares = -(-len(items) // share)
        room = workers or max(1, int(resources.get("CPU", 1) // needs["num_cpus"]))
        actors = ray.data.ActorPoolStrategy(size=min(room, shares))
        split = ray.data.from_items(items, override_num_blocks=shares)
        run = split.map_batches(_Actor, fn_constructor_args=[job], batch_size=share, compute=actors, **needs)
        for row in run.iter_rows():
            yield pickle.loads(row["result"])


@contextmanager
def _cluster() -> Iterator[Mapping[str, float]]:
    """Connect to a cluster, or start one and stop it in the end; yield its resources. Ray prints nothing."""
    # no reports to its makers, and no warnings from its C++ code
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"} | os.environ
    import ray
    import ray.data

    started = not ray.is_initialized()
    if started:
        with output_suppressed():
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray.cluster_resources()
    finally:
        if started:
            ray.shutdown()


def _needs(job: RayJob, cluster: Mapping[str, float]) -> dict[str, float]:
    """Return what of a machine an actor takes: the cores of its runs, and a GPU if the cluster has some."""
    needs: dict[str, float] = {"num_cpus": job.options.get("threads") or 1}
    provider = job.options.get("provider", "auto")
    if provider in ("cuda", "tensorrt") or (provider == "auto" and cluster.get("GPU", 0) > 0):
        needs["num_gpus"] = 1
    return needs


class _Actor:
    """A model in a process of Ray."""

    def __init__(self, job: RayJob) -> None:
        self._job, self._model = job, load_model(job.model, **job.options)

    def __call__(self, rows: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
        pictures = map(pickle.loads, rows["picture"])
        results = infer_found(self._model, pictures, self._job.top_k, batch=self._job.batch, folder=self._job.folder)
        return {"result": [pickle.dumps(each) for each in results]}
