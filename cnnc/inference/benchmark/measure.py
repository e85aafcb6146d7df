"""Run the child processes of a benchmark, in turns, and collect their samples.

Takes configurations and returns a `Measurement` for each. Every round starts a new process for every configuration, in
the opposite order to the round before it, so that a machine that slows down for a while slows all of them. Between
them, each round measures the machine's GEMM peak. Last, one run of each file counts its multiply-adds.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.inference.benchmark.profile import blocks, path_of
from cnnc.inference.benchmark.results import Configuration, Macs, Measurement, Peak, Sample
from cnnc.processes import start, stopped_after

_OF_PEAK = 0.5  # of the seconds of a configuration


def measure(
    configurations: Sequence[Configuration],
    *,
    rounds: int,
    seconds: float,
    timeout: float,
    progress: Callable[[str, int, int], object] = lambda doing, done, of: None,
) -> list[Measurement]:
    """Measure each configuration for `seconds` in each round; raises the errors of `predict.load_model`.

    `timeout` is the limit in seconds for each process. `progress` gets what is done next, and how much of how many.
    """
    samples: dict[Configuration, list[Sample]] = {each: [] for each in configurations}
    on_cpu = (each for each in configurations if each.provider in ("cpu", "auto"))
    peaks: dict[int, list[Mapping[str, Any]]] = {each.threads: [] for each in on_cpu}
    counts = dict.fromkeys(map(_counted_as, configurations), Macs())
    todo, done = rounds * (len(samples) + len(peaks)) + len(counts), 0
    for round in range(rounds):
        for threads, found in peaks.items():
            progress("the peak of the machine", done, todo)
            job = {"do": "peak", "model": "numpy", "threads": threads, "seconds": seconds * _OF_PEAK}
            found.append(_answer(job, timeout))
            done += 1
        for each in [*samples][:: -1 if round % 2 else 1]:
            progress(str(each), done, todo)
            samples[each].append(Sample(**_answer(_job("run", each, seconds), timeout)))
            done += 1
    for each in counts:
        progress(f"the multiply-adds of {each.model}", done, todo)
        counts[each] = _count(each, timeout)
        done += 1
    highest = {threads: _peak(threads, found) for threads, found in peaks.items()}
    return [_measurement(each, found, counts[_counted_as(each)], highest) for each, found in samples.items()]


def profiled(found: Measurement, depth: int | None, timeout: float) -> Measurement:
    """Return the measurement with the time of each block, folded to `depth`, from a run of onnxruntime's profiler."""
    answer = _answer(_job("profile", found.configuration, 0), timeout)
    return replace(found, blocks=blocks(found.configuration, found.macs, answer, depth))


def _counted_as(about: Configuration) -> Configuration:
    """Return the configuration that the MACs are counted with, which threads do not change: one thread per core."""
    on_gpu = about.provider in ("cuda", "tensorrt")  # TensorRT shows no nodes
    return replace(about, threads=0, provider="cuda" if on_gpu else about.provider)


def _count(about: Configuration, timeout: float) -> Macs:
    try:
        answer = _answer(_job("macs", about, 0), timeout)
    except CnncError as error:  # the file may run only with onnxruntime's optimizations
        return Macs(fault=error.diagnostics[0].message)
    by_path = Counter[str]()
    for name, macs in answer["macs"].items():
        by_path[path_of(name, ours=about.ours)] += macs
    return Macs(by_path, answer["uncounted"])


def _measurement(about: Configuration, samples: Sequence[Sample], macs: Macs, peaks: Mapping[int, Peak]) -> Measurement:
    about = replace(about, provider=samples[0].provider)  # `auto` is now known
    return Measurement(about, samples, macs, peaks.get(about.threads) if about.provider == "cpu" else None)


def _peak(threads: int, found: Sequence[Mapping[str, Any]]) -> Peak:
    cpu, wall = (sum(each[key] for each in found) for key in ("cpu_seconds", "wall_seconds"))
    return Peak(threads, max(each["gflops"] for each in found), cpu / wall / threads)


def _job(do: str, about: Configuration, seconds: float) -> dict[str, Any]:
    return {
        "do": do,
        "model": about.model,
        "provider": about.provider,
        "threads": about.threads,
        "batch": about.batch,
        "size": about.size,
        "allow_external": about.allow_external,
        "seconds": seconds,
    }


def _answer(job: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Return the result of a job's process; raises its CnncError, and E507 if it dies or takes too long."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = start("cnnc.inference.benchmark.child", json.dumps(job), stdin=pipe, stdout=pipe, stderr=null)
    with process, stopped_after(timeout, process) as stopped:
        assert process.stdout is not None  # it is a pipe
        try:
            text = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    if stopped.is_set():
        raise _failed(job, f"did not finish within {timeout:g} s", "give it more time with `--timeout SECONDS`")
    if not text:
        status = process.returncode
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise _failed(job, how, "use another copy of the model, or a smaller `--batch`: memory may have run out")
    answer: dict[str, Any] = json.loads(text)
    if "errors" in answer:
        raise CnncError(Diagnostic(Code(code), message, help=help) for code, message, help in answer["errors"])
    return answer


def _failed(job: Mapping[str, Any], how: str, help: str) -> CnncError:
    return CnncError.of(Code.MODEL_FAILED, f"{job['model']}: the process that runs it {how}", help=help)
