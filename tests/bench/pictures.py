"""`cnnc infer` on a folder of photographs against a loop with decoding threads that somebody wrote by hand.

Both are fresh processes on all cores, and write the five best classes of each picture as JSON lines. The CPU time
counts too: on a machine with other work, only that says whose is less.
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.cold import built
from tests.bench.measure import ROOT, Row, interleave, process

NETWORKS = ("zoo/mobilenet_v2", "zoo/resnet18")
COUNT = 960

BY_HAND = """
import json, os, sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import onnxruntime
from PIL import Image

model, folder, out = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
mean = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
std = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

def work(path):
    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = min(width, height)
    image = image.resize((256 * width // short, 256 * height // short), Image.Resampling.BILINEAR)
    left, top = round((image.width - 224) / 2), round((image.height - 224) / 2)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)))
    array = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
    array /= 255
    array -= mean
    array /= std
    logits = session.run(None, {name: array[None]})[0][0]
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
    best = scores.argsort()[::-1][:5]
    return {"image": path, "predictions": [[int(each), float(scores[each])] for each in best]}

cores = len(os.sched_getaffinity(0))
paths = sorted(each.path for each in os.scandir(folder))
with ThreadPoolExecutor(cores) as threads, open(out, "w") as file:
    waiting = deque()
    for path in paths:
        waiting.append(threads.submit(work, path))
        if len(waiting) > 4 * cores:
            print(json.dumps(waiting.popleft().result()), file=file)
    for each in waiting:
        print(json.dumps(each.result()), file=file)
"""


def pictures(folder: Path) -> Iterator[Row]:
    """The time and the CPU time for a folder of photographs, for each of NETWORKS."""
    photographs = folder / "photographs"
    draw(photographs)
    for network in NETWORKS:
        model = built(ROOT / "specs" / f"{network}.yaml", folder)
        words = ("infer", model, photographs, "--provider", "cpu", "--overwrite", "-o", folder / "ours.json")
        ours = process("-m", "cnnc", *words)
        theirs = process("-c", BY_HAND, model, photographs, folder / "theirs.json")
        compare = partial(interleave, ours, theirs, lasting=60)
        yield Row(f"pictures {model.stem}", compare(), 1.05)
        if sys.platform != "win32":
            yield Row(f"pictures {model.stem}, CPU", compare(clock=cpu_time), 1.05)


def draw(folder: Path) -> None:
    """Write JPEGs of 500 × 375 pixels, with shades and noise as in photographs; each is there several times."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        shades = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize((500, 375))
        noise = random.integers(-12, 13, (375, 500, 3))
        photograph = Image.fromarray((np.asarray(shades) + noise).clip(0, 255).astype(np.uint8))
        for copy in range(COUNT // 24):
            photograph.save(folder / f"{copy:02}-{number:02}.jpg", quality=90)


def cpu_time() -> float:
    """Seconds of CPU time of all processes that this one started and that have ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
