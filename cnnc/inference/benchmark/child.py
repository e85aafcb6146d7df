"""The child process of a benchmark: load one file and run it, or measure the machine's GEMM peak.

Takes a job as JSON on the command line, and writes one line of JSON to stdout: the result or diagnostics. Each process
does one job, so that its peak memory is that of the job, and a file that crashes ends nothing else.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from time import perf_counter, process_time
from typing import Any

SIDE = 256  # of the square matrices: they fit into the second-level cache of most processors
_WARM_UP, _LEAST = 3, 5  # runs
_PROFILED = 10
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def run_model(job: dict[str, Any]) -> dict[str, Any]:
    """Load a file, warm up, and run it for the job's seconds; raises CnncError."""
    session, load, run = _loaded(job)
    for _ in range(_WARM_UP):
        run()
    latencies: list[float] = []
    end = perf_counter() + job["seconds"]
    cpu, start = process_time(), perf_counter()
    while perf_counter() < end or len(latencies) < _LEAST:
        latencies.append(run())
    return {
        "provider": session.choice.name,
        "load": load * 1000,
        "latencies": latencies,
        "cpu_seconds": process_time() - cpu,
        "wall_seconds": perf_counter() - start,
        "memory": peak_memory(),
    }


def profile_model(job: dict[str, Any]) -> dict[str, Any]:
    """Run a file under onnxruntime's profiler, and return the events of the runs after the warm-up."""
    events = _events(job, _WARM_UP + _PROFILED)
    runs = [each["ts"] for each in events if each["name"] == "model_run"]
    found = [each for each in events if each["ts"] >= runs[_WARM_UP]]
    nodes = [(each["name"], each["args"]["op_name"], each["dur"]) for each in found if each["cat"] == "Node"]
    whole = sum(each["dur"] for each in found if each["name"] == "model_run")
    return {"nodes": nodes, "microseconds": whole, "runs": len(runs) - _WARM_UP}


def count_macs(job: dict[str, Any]) -> dict[str, Any]:
    """Run a file once, and return the MACs of its nodes, and the numbers of operators that could not be counted."""
    from cnnc.inference.benchmark.macs import count

    macs, uncounted = count(each for each in _events(job, 1, optimize=False) if each["cat"] == "Node")
    return {"macs": macs, "uncounted": uncounted}


def _events(job: dict[str, Any], runs: int, *, optimize: bool = True) -> list[dict[str, Any]]:
    """Return the events of onnxruntime's profile of several runs."""
    with tempfile.TemporaryDirectory() as folder:
        session, _, run = _loaded(job, os.path.join(folder, "profile"), optimize=optimize)
        for _ in range(runs):
            run()
        with open(session.end_profile(), encoding="utf-8") as file:
            return [each for each in json.load(file) if each]


def _loaded(
    job: dict[str, Any], profile: str | None = None, *, optimize: bool = True
) -> "tuple[Any, float, Callable[[], float]]":
    """Return the session, the seconds that it took to load, and a function that runs it and returns milliseconds."""
    import onnxruntime  # noqa: F401 - so that the time to load is that of the model

    from cnnc.files.onnx_header import read_model
    from cnnc.inference.session import Session

    file, start = read_model(job["model"]), perf_counter()
    how = {"allow_external": job["allow_external"], "threads": job["threads"], "profile": profile, "optimize": optimize}
    session = Session(file, job["provider"], **how)
    load = perf_counter() - start
    feeds = {port.name: _drawn(job, port) for port in session.inputs}
    targets = [port.name for port in session.outputs]
    return session, load, lambda: session.run(feeds, targets)[1]


def _drawn(job: dict[str, Any], port: Any) -> Any:
    """Return random values for an input; raises CnncError (E502) if the job does not give its shape."""
    import numpy as np

    first, *sides = port.shape or (None,)
    if first not in (None, job["batch"]):
        raise _unsuited(job, f"its input {port.name!r} always takes {first} pictures", f"use `--batch {first}`")
    if port.type not in _DTYPES:
        raise _unsuited(job, f"its input {port.name!r} is {port.type}", "bench takes arrays of numbers only")
    size = iter(job["size"] or ())
    sides = [next(size, None) if side is None else side for side in sides]
    if None in sides:
        shown = ", ".join("?" if side is None else str(side) for side in port.shape)
        raise _unsuited(job, f"its input {port.name!r} [{shown}] has open sizes", "give them as `--size HEIGHTxWIDTH`")
    kind, shape = np.dtype(_DTYPES[port.type]), (job["batch"], *sides) if port.shape else ()
    random = np.random.default_rng(0)
    if kind.kind == "f":
        return random.standard_normal(shape, np.float32).astype(kind)
    return random.integers(0, 256, shape, kind) if kind == np.uint8 else np.zeros(shape, kind)


def _unsuited(job: dict[str, Any], reason: str, help: str) -> Exception:
    from cnnc.diagnostics import CnncError, Code

    return CnncError.of(Code.MODEL_UNSUITED, f"bench cannot run the model {job['model']}: {reason}", help=help)


def measure_peak(job: dict[str, Any]) -> dict[str, Any]:
    """Multiply matrices of 256 × 256 with numpy, on each of the job's threads on its own, for the job's seconds.

    Short products are not interrupted by the system, so the best of many shows the peak also on a busy machine.
    """
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    import numpy as np  # its BLAS reads the variables now

    best = [0.0] * job["threads"]

    def multiply(at: int) -> None:
        a, b, product = np.ones((3, SIDE, SIDE), np.float32)
        end = perf_counter() + job["seconds"]
        while (start := perf_counter()) < end:
            np.matmul(a, b, out=product)
            best[at] = max(best[at], 2 * SIDE**3 / (perf_counter() - start) / 1e9)

    threads = [Thread(target=multiply, args=(at,)) for at in range(job["threads"])]
    cpu, start = process_time(), perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return {"gflops": sum(best), "cpu_seconds": process_time() - cpu, "wall_seconds": perf_counter() - start}


def peak_memory() -> int | None:
    """Return the peak of this process's memory in bytes; None if the system has no figure."""
    with suppress(OSError), open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):  # ru_maxrss would include the memory of the parent
                return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


JOBS = {"run": run_model, "profile": profile_model, "macs": count_macs, "peak": measure_peak}


def main() -> None:
    """Do the job. Other output goes to stderr, because stdout carries the result."""
    from cnnc.diagnostics import CnncError
    from cnnc.diagnostics.missing_packages import not_installed
    from cnnc.processes import end_after, reserve_stdout

    end_after(sys.stdin.buffer.read)  # the parent closes it, also when it is killed
    job = json.loads(sys.argv[1])
    with reserve_stdout() as answers:
        try:
            answer = JOBS[job["do"]](job)
        except CnncError as error:
            answer = {"errors": [(each.code.value, each.message, each.help) for each in error.diagnostics]}
        except ModuleNotFoundError as error:
            if (missing := not_installed(error, "infer", "running a model")) is None:
                raise
            answer = {"errors": [(each.code.value, each.message, each.help) for each in missing.diagnostics]}
        answers.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
