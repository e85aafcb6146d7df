"""`python -m tests.bench.gpu [--tiny] [--networks lenet,resnet18] [PART …]`: what cnnc does on a GPU, in figures.

The parts are `train` (examples/s beside a hand-written loop and the figures that the book prints), `bench` (onnxruntime
on CUDA and TensorRT, float32 and fp16, batches 1 to 256), `infer` (pictures/s of a folder) and `verify` (the distance
of outputs on the GPU from torch's on the CPU). Where no GPU is, all runs on the CPU in tiny sizes: this shows that the
script works, and its figures mean nothing. A part that cannot run prints its reason, and the others continue.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.epochs import SIDES
from tests.bench.measure import ROOT
from tests.bench.train import trainer

PARTS = ("train", "bench", "infer", "verify")
BOOK = {"lenet": 184_100, "alexnet": 721, "vgg11_small": 475, "googlenet": 830, "resnet18": 1_051}  # examples/s
BATCHES = {"lenet": 1024, "resnet18": 256}  # as the book has them; others 128
VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"channels_last": False},
    "channels last": {"channels_last": True},
    "tf32": {"tf32": True},
    "bf16": {"precision": "bf16"},
    "bf16 compiled": {"precision": "bf16", "compile": True},
}
TINY = (16, 8)  # examples of an epoch, and of a batch
EXAMPLES = 60_000
PICTURES = 2_000


@dataclass(frozen=True)
class Task:
    """What a part measures; it may write to the `folder`."""

    networks: Sequence[str]
    variants: Sequence[str]  # of the recipe
    examples: int  # of an epoch
    folder: Path
    tiny: bool


def gpu() -> str | None:
    """The name of the GPU; None if torch finds none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def train(task: Task) -> Iterator[str]:
    """Examples/s of the second epoch of the course's loop, and of the third of ours in each variant."""
    yield f"{'network':<14}{'loop':<18}{'examples/s':>12}{'× the loop':>12}{'the book':>12}"
    rows = [("course", "by hand", {}), *(("ours", each, VARIANTS[each]) for each in task.variants)]
    for name in task.networks:
        size = TINY if task.tiny else (task.examples, BATCHES.get(name, 128))
        base = None
        for kind, label, given in rows:
            try:
                with trainer(kind, name, task.folder, json.dumps({"size": size, "given": given})) as epoch:
                    if kind == "course":
                        epoch()  # starts workers
                    rate = size[0] / epoch()
            except RuntimeError as error:
                yield f"{name:<14}{label:<18}failed: {str(error).strip().splitlines()[-1]}"
                continue
            base = base or rate
            book = f"{BOOK[name]:,}" if kind == "course" and name in BOOK else ""
            yield f"{name:<14}{label:<18}{rate:>12,.0f}{rate / base:>12.2f}{book:>12}".rstrip()


def bench(task: Task) -> Iterator[str]:
    """The table of `cnnc bench` for each provider."""
    batches = "1,2" if task.tiny else "1,8,32,64,128,256"
    speed = ("--rounds", "1", "--seconds", "0.05" if task.tiny else "0.5")
    for name in task.networks:
        path = built(name, task.folder)
        for provider in ("cpu",) if gpu() is None else ("cuda", "tensorrt"):
            words = ("--provider", provider, "--precision", "fp32,fp16", "--batch", batches)
            yield cnnc("bench", path, *words, *speed)


def infer(task: Task) -> Iterator[str]:
    """Pictures/s of `cnnc infer`, with its start, for a folder of JPEGs."""
    pictures, count = task.folder / "pictures", 20 if task.tiny else PICTURES
    pictures.mkdir()
    random = np.random.default_rng(0)
    for at in range(count):
        Image.fromarray(random.integers(0, 256, (240, 320, 3), np.uint8)).save(pictures / f"{at}.jpg")
    provider = "cpu" if gpu() is None else "cuda"
    for name in task.networks:
        for batch in (1, 8) if task.tiny else (1, 32, 256):
            start = perf_counter()
            said = cnnc(
                "infer",
                built(name, task.folder),
                pictures,
                "--provider",
                provider,
                "--batch",
                batch,
                "--format",
                "json",
            )
            seconds, lines = perf_counter() - start, said.splitlines()
            shown = f"{count / seconds:,.1f} pictures/s" if len(lines) >= count else f"failed: {lines[-1]}"
            yield f"infer {name}, {provider}, batch {batch}: {shown}"


def verify(task: Task) -> Iterator[str]:
    """The distance of the outputs of the GPU, in torch and in onnxruntime, from torch's on the CPU."""
    import torch

    from cnnc.diagnostics import CnncError
    from cnnc.files.onnx_header import read_model
    from cnnc.inference.session import Session

    device = "cpu" if gpu() is None else "cuda"
    for name in task.networks:
        path = built(name, task.folder)
        module = compiled(name, path)
        shape = json.loads(cnnc("inspect", path, "--format", "json"))["contract"]["input"]["shape"]
        pictures = torch.randn((2 if task.tiny else 16, *shape), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            wanted = module(pictures)
            there = module.to(device)(pictures.to(device)).cpu()
        yield f"verify {name}: torch on {device}: {apart(there, wanted)}"
        for provider in dict.fromkeys(("cpu", *(("cuda", "tensorrt") if device == "cuda" else ()))):
            for file in (path, path.with_suffix(".fp16.onnx")):
                try:
                    session = Session(read_model(file), provider)
                    target = session.outputs[0].name
                    found = session.run({session.inputs[0].name: pictures.numpy()}, [target])[0][target]
                except CnncError as error:
                    yield f"verify {name}: {file.name} on {provider}: failed: {error.diagnostics[0].message}"
                else:
                    yield f"verify {name}: {file.name} on {provider}: {apart(torch.from_numpy(found), wanted)}"


def apart(found: Any, wanted: Any) -> str:
    return f"within {float((found - wanted).abs().max() / wanted.abs().max()):.1e} of torch on the CPU"


def built(name: str, folder: Path) -> Path:
    """The ONNX file of a network, float32 with fp16 beside it, built on the first call."""
    path = folder / name / f"{name}.onnx"
    if not path.exists():
        size = ("--set", f"size={SIDES[name]}") if name in SIDES else ()
        said = cnnc(
            "build",
            f"specs/{name}.yaml",
            *size,
            "--target",
            "onnx",
            "--precision",
            "fp16",
            "--max-drop",
            100,
            "-o",
            folder,
        )
        if not path.exists():
            raise RuntimeError(said)
    return path


def compiled(name: str, path: Path) -> Any:
    """The torch module of a built file, in eval mode."""
    from cnnc.compiler import compile

    size = {"size": SIDES[name]} if name in SIDES else None
    return compile(ROOT / "specs" / f"{name}.yaml", set=size, weights=path.with_suffix(".safetensors")).eval()


def cnnc(*words: object) -> str:
    """What a `cnnc` command prints; with its errors if it fails."""
    command = [sys.executable, "-m", "cnnc", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description="cnnc on a GPU, in figures.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--networks", default=",".join(BOOK), help=f"with commas (default: {','.join(BOOK)})")
    parser.add_argument("--variants", default=",".join(VARIANTS), help=f"of training (default: {','.join(VARIANTS)})")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help=f"of an epoch (default: {EXAMPLES})")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see whether the script works")
    given = parser.parse_args(words)
    networks, variants = given.networks.split(","), given.variants.split(",")
    if unknown := [*({*given.parts} - {*PARTS}), *({*networks} - {*BOOK}), *({*variants} - {*VARIANTS})]:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    device = gpu()
    tiny = given.tiny or device is None
    print(device or "no GPU: all runs on the CPU in tiny sizes, and the figures mean nothing", flush=True)
    for part in given.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="cnnc-gpu-") as folder:
            for line in globals()[part](Task(networks, variants, given.examples, Path(folder), tiny)):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
