"""The most expensive small specs that are known: none takes more than 10 seconds or 500 MB to be accepted or refused.

Each is checked in a fresh process, as a table and as JSON. Out: a `Worst` for each, with the processor's time, which
others on the machine change little, and the most memory that was in use.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from random import Random
from typing import Any

from tests.bench.measure import ROOT

SECONDS, MEGABYTES = 10, 500
KILLED_AFTER = 30  # seconds of processor time

Nodes = list[Any]


@dataclass(frozen=True)
class Worst:
    """A line of the table."""

    name: str
    seconds: float
    megabytes: float
    verdict: str

    @property
    def over(self) -> bool:
        return self.seconds > SECONDS or self.megabytes > MEGABYTES

    def __str__(self) -> str:
        told = f"{self.seconds:>8.2f} s{self.megabytes:>10.0f} MB"
        return f"{'worst ' + self.name:<46}{told:>22}   {self.verdict:<14}{'over' if self.over else 'ok'}"


def worst(folder: Path) -> Iterator[Worst]:
    """A row for each spec and way of showing it."""
    for name, spec in specs().items():
        path = folder / f"{name.replace(' ', '_')}.yaml"
        path.write_text(json.dumps(spec), encoding="utf-8")
        for way in ("text", "json"):
            yield measured(f"{name}, {way}", "check", "--format", way, path)


RUN = f"""
import gc, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({KILLED_AFTER}, {KILLED_AFTER}))
gc.disable()  # as the command does
from cnnc.cli.app import answer
code = answer(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, used.ru_utime + used.ru_stime, int(peak.split()[1]) / 1024, file=sys.stderr)
"""


def measured(name: str, *arguments: str | Path) -> Worst:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, check=False)
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        return Worst(name, inf, inf, f"exit code {done.returncode}")
    *_, last = said.splitlines()
    code, seconds, megabytes = map(float, last.split())
    if code not in (0, 1):
        return Worst(name, inf, inf, f"exit code {code:g}")
    codes = re.search(r"^error\[(\w+)\]", said, re.MULTILINE)
    return Worst(name, seconds, megabytes, "accepted" if code == 0 else codes[1] if codes else "refused")


def spec(*nodes: Any, image: Any = (4, 8, 8), **rest: Any) -> dict[str, Any]:
    return {"cnnc": 1, "name": "net", "input": {"x": list(image)}, **rest, "nodes": list(nodes)}


def rounds(count: int, *nodes: Any) -> dict[str, Any]:
    return {"each": {"over": {"k": f"$([0] * {count})"}, "nodes": list(nodes)}}


def block(*nodes: Any, **rest: Any) -> dict[str, Any]:
    return {"b": {**rest, "nodes": list(nodes)}}


def specs() -> dict[str, dict[str, Any]]:
    """The specs by what makes them expensive."""
    return {**of_values(), **of_names(), **of_many_nodes(), **of_open_sizes(), **of_faults()}


def of_values() -> dict[str, dict[str, Any]]:
    """Expressions, lists, texts and parameters."""
    zeros, absent = [0] * 100_000, {"when": False}
    bomb = f"$(min(1, {', '.join(['len([0]*10000)'] * 100)}))"
    long = [f"$(len([{'1,' * 950}{at}]) > 0)" for at in range(500)]
    short = [f"$(len([{'1,' * 60}{at}]) < 0)" for at in range(5_000)]
    text = "$('a' * 9000)"
    return {
        "a bomb of lists": spec({"conv": {"repeat": 100, "out": bomb, "kernel": 1}}),
        "lists in names": spec({"b": {"repeat": 600}}, blocks=block({"relu": {"name": "r$(len([0]*10000))"}})),
        "long sums": spec({"conv": {"out": f"$({'+'.join('1' * 40)} - 36)", "kernel": 1, "repeat": 37_000}}),
        "many long texts": spec(*({"relu": {"when": each}} for each in long)),
        "many short texts": spec(
            {"b": {"repeat": 20}}, "relu", blocks=block("relu", *({"relu": {"when": each}} for each in short))
        ),
        "comparisons of lists": spec(
            "relu", rounds(9_000, {"relu": {"when": "$(a == b)"}}), params={"a": zeros, "b": zeros}
        ),
        "searches in lists": spec("relu", rounds(9_000, {"relu": {"when": "$(1 in a)"}}), params={"a": zeros}),
        "lists handed on": spec(
            "relu", rounds(9_000, {"b": {"p": [0] * 9_000}}), blocks=block("relu", params={"p": None})
        ),
        "lists by default": spec({"b": {"repeat": 9_000}}, blocks=block("relu", params={"p": zeros * 2})),
        "lists of mappings": spec(
            "relu",
            rounds(140, {"b": {"p": "$a"}}),
            params={"a": [[{"a": 1}] * 4] * 2_000},
            blocks=block("relu", params={"p": None}),
        ),
        "wrong lists": spec("relu", rounds(9_000, {"permute": {"axes": zeros}})),
        "parts of split": spec(
            rounds(9_000, {"split": {"from": "x", "sizes": "$([1] * 4096)"}}), image=(4096, 8, 8), outputs=["split.0"]
        ),
        "texts": spec("relu", rounds(9_000, {"relu": {"name": "$a" * 900, **absent}}), params={"a": "'" * 9_000}),
        "texts as parameters": spec(
            "relu",
            rounds(9_000, {"b": {"k": "$i"}}),
            blocks=block("relu", params={"k": None, **{f"t{at}": text for at in range(1_000)}}),
        ),
        "many parameters": spec({"relu": {"repeat": 99_000}}, params={f"p{at}": 1 for at in range(50_000)}),
        "parameters that are computed": spec("relu", params={f"p{at}": "$(1)" for at in range(50_000)}),
        "parameters of blocks": spec(
            {"b": {"repeat": 90_000}}, blocks=block("relu", params={f"p{at}": 1 for at in range(50_000)})
        ),
        "columns of an each": spec(
            "relu", {"each": {"over": {f"k{at}": [1, 2] for at in range(40_000)}, "nodes": ["relu"]}}
        ),
    }


def of_names() -> dict[str, dict[str, Any]]:
    """Names that are misspelt, long or deep."""
    draw = Random(0)
    words = ["".join(draw.choices("abcdef", k=64)) for _ in range(600)]
    given = dict.fromkeys(words[:90], 1)
    deep = {f"b{at}": {"nodes": [{f"b{at + 1}": {"name": "c" * 64}}]} for at in range(30)}
    return {
        "misspelt parameters": spec(
            "relu", rounds(9_000, {"b": given}), blocks=block("relu", params=dict.fromkeys(words[90:], 1))
        ),
        "misspelt nodes": spec(
            *({"relu": {"name": word}} for word in words[:500]), rounds(9_000, {"relu": {"from": "a" * 60 + "$i"}})
        ),
        "misspelt variables": spec(
            "relu", rounds(9_000, {"relu": {"name": "n$(kk)", "when": False}}), params=dict.fromkeys(words, 1)
        ),
        "malformed names": spec("relu", rounds(9_000, {"relu": {"name": f"$({'1+' * 900}+)", "when": False}})),
        "deep paths": spec("b0", blocks={**deep, "b30": {"nodes": [{"relu": {"name": "d" * 64, "repeat": 99_000}}]}}),
        "forward references": spec(
            *({"relu": {"name": f"n{at}", "from": f"n{at + 1}"}} for at in range(15_000)),
            {"relu": {"name": "n15000", "from": "x"}},
            outputs="n0",
        ),
        "many inputs": {
            **spec({"relu": {"from": "i0"}}),
            "input": None,
            "inputs": {f"i{at}": [1, 8, 8] for at in range(30_000)},
        },
    }


def of_many_nodes() -> dict[str, dict[str, Any]]:
    """As many nodes, inputs, outputs and warnings as there may be."""
    unit = [
        {"conv": {"out": "$(w * 1)", "kernel": "$k", "padding": "$(k // 2)"}},
        "batch_norm",
        "relu",
        {"add": {"from": ["input", "relu"]}},
    ]
    rows = [{"max_pool": {"kernel": 50_000, "stride": [49_999, 49_998]}}, {"upsample": {"size": [65_536, 65_536]}}]
    allow = ["W302"] * 9_000
    return {
        "nodes": spec({"conv": {"out": 4, "kernel": 3, "padding": 1, "repeat": 99_999}}),
        "blocks": spec({"b": {"repeat": 24_000}}, blocks=block(*unit, params={"w": 4, "k": 3})),
        "groups": spec({"group": {"nodes": [{"group": {"nodes": [{"relu": {"repeat": 90_000}}]}}]}}),
        "rounds of rounds": spec("relu", rounds(100, rounds(100, rounds(9, "relu")))),
        "rounds of nothing": spec("relu", rounds(9_000, rounds(9_000, {"relu": {"when": False}}))),
        "inputs of add": spec(rounds(9_000, {"add": {"from": ["x"] * 4_096}})),
        "inputs of blocks": spec(
            rounds(9_000, {"b": {"from": ["x"] * 40_000}}),
            blocks=block({"relu": {"from": "i0"}}, inputs=[f"i{at}" for at in range(40_000)]),
        ),
        "outputs of split": spec(
            rounds(9_000, {"split": {"from": "x", "parts": 4_096}}), image=(4096, 8, 8), outputs=["split.0"]
        ),
        "outputs of blocks": spec(
            rounds(9_000, {"b": {"from": "x"}}),
            blocks=block("relu", outputs={f"o{at}": "relu" for at in range(40_000)}),
            outputs="b.o0",
        ),
        "unused blocks": spec("relu", blocks={f"b{at}": {"nodes": [{"relu": {"repeat": 99_000}}]} for at in range(50)}),
        "unused rounds": spec(
            "relu", blocks={f"b{at}": {"nodes": [rounds(9_999, {"relu": {"when": False}})]} for at in range(5_000)}
        ),
        "warnings": spec(
            {"b": {"repeat": 20_000}},
            image=(1, 33, 33),
            blocks=block({"max_pool": {"kernel": 2}}, {"pad": {"padding": [0, 0, 17, 17]}}),
        ),
        "warnings of wide windows": spec(*rows * 5_000, image=(1, 65_536, 65_536)),
        "allowed warnings": spec({"b": {"repeat": 20_000, "allow": allow}}, blocks=block("relu", "relu", allow=allow)),
        "smallest inputs": spec({"max_pool": {"kernel": 2, "stride": 1, "repeat": 60_000}}, image=(1, 65_536, 65_536)),
    }


def of_open_sizes() -> dict[str, dict[str, Any]]:
    """Networks of which it takes many questions to find out what they take."""
    image = (1, None, None)
    conv = {"conv": {"out": 1, "kernel": 3, "padding": 1, "repeat": 90_000}}
    down = [
        each
        for at in range(10)
        for each in ({"conv": {"name": f"l{at}", "out": 1, "kernel": 1}}, {"max_pool": {"kernel": 2}})
    ]
    up = [
        each
        for at in reversed(range(10))
        for each in (
            {"upsample": {"name": f"u{at}", "factor": 2}},
            {"concat": {"from": [f"u{at}", f"l{at}"]}},
            {"conv": {"out": 1, "kernel": 1}},
        )
    ]
    return {
        "open nodes": spec(conv, image=image),
        "open levels": spec(*down, {**conv}, *up, image=image),
        "open and single": spec(
            {"upsample": {"size": 1_000}}, {"concat": {"from": ["upsample", "x"]}}, conv, image=image
        ),
        "open to nothing": spec(
            {"conv": {"name": "a", "out": 1, "kernel": 2}},
            {"conv": {"name": "b", "from": "x", "out": 1, "kernel": 3}},
            {"add": {"from": ["a", "b"]}},
            conv,
            image=image,
        ),
        "open and joined": spec(
            {"concat": {"from": ["x"] * 4_096, "axis": 1}},
            *({"max_pool": {"kernel": each}} for each in (2, 3, 5, 7)),
            {"relu": {"repeat": 3_000}},
            image=image,
        ),
    }


def of_faults() -> dict[str, dict[str, Any]]:
    """Many faults, or one in many places."""
    return {
        "cycles": spec(*({"relu": {"name": f"n{at}", "from": f"n{at ^ 1}"}} for at in range(18_000)), outputs="n0"),
        "a long cycle": spec(
            *({"relu": {"name": f"n{at}", "from": f"n{(at + 1) % 18_000}"}} for at in range(18_000)), outputs="n0"
        ),
        "unknown nodes": spec(*({"relu": {"from": f"m{at}"}} for at in range(25_000))),
        "unknown ops": spec(*(f"relo{at}" for at in range(60_000))),
        "windows in rounds": spec(
            "relu", rounds(9_000, {"b": {"from": "x"}}), blocks=block({"conv": {"kernel": 99, "out": 3}})
        ),
        "sizes in rounds": spec({"max_pool": {"kernel": 2}}, rounds(9_000, {"add": {"from": ["x", "max_pool"]}})),
        "sizes behind many nodes": spec(
            {"relu": {"repeat": 90_000}}, {"max_pool": {"kernel": 2}}, {"concat": {"from": ["max_pool", "relu"]}}
        ),
        "long keys": spec({"conv": {"k" * 2_000 + str(at): 1 for at in range(450)}}),
    }
