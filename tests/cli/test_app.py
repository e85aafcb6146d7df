"""The command line as a user meets it: what it prints, where, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from PIL import Image
from safetensors.torch import load_file

from cnnc.language import foreign_nodes, reference
from cnnc.language.model import BlockPart, Header
from cnnc.language.nodes import EACH_KEYS
from cnnc.ops import registry
from tests.command import run_command
from tests.thorough import rows, thorough

ROOT = Path(__file__).parent.parent.parent
LENET = ROOT / "specs/lenet.yaml"
TINY = """
cnnc: 1
name: tiny
params: {classes: 3}
input: {image: [1, 8, 8]}
nodes:
  - conv: {out: 2, kernel: 3, act: relu}
  - dropout
  - flatten
  - linear: {out: $classes}
"""
REFERENCE = (ROOT / "specs/README.md").read_text(encoding="utf-8")
WRONG = TINY.replace("linear: {out", "linaer: {out")


def process(*arguments, cwd=None, stdin=None, env=None):
    """Run `cnnc ARGUMENTS` in a process of its own, where that makes a difference: it takes seconds to import torch."""
    return subprocess.run(
        [sys.executable, "-m", "cnnc", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path


# -- check


def test_check_prints_a_table_and_exits_with_0(tiny):
    done = process("check", "tiny.yaml", cwd=tiny)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["node", "op", "inputs", "output", "params", "MACs"]
    assert lines[2].split() == ["conv", "conv", "image", "2×6×6", "20", "648"]
    assert lines[-2].split() == ["total", "239", "864"]


def test_check_of_a_wrong_spec_exits_with_1_and_prints_its_place(tiny):
    (tiny / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    done = run_command("check", "wrong.yaml", cwd=tiny)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "wrong.yaml:10:5" in done.stderr
    assert "did you mean `linear`?" in done.stderr


def test_check_takes_files_folders_globs_and_each_once(tiny):
    (tiny / "more").mkdir()
    (tiny / "more/wrong.yml").write_text(WRONG, encoding="utf-8")
    (tiny / "more/same.json").write_text(
        json.dumps({"cnnc": 1, "input": {"x": [3]}, "nodes": ["relu"]}), encoding="utf-8"
    )
    (tiny / "more/other.json").write_text("[1, 2]", encoding="utf-8")
    done = run_command("check", "tiny.yaml", "more", "m*/*.yml", "*.yaml", "--format", "json", cwd=tiny)
    found = {each["spec"]: each["ok"] for each in map(json.loads, done.stdout.splitlines())}
    assert found == {"tiny.yaml": True, "more/same.json": True, "more/wrong.yml": False}
    assert done.exit_code == 1


def test_a_glob_or_a_folder_without_specs_is_said(tiny):
    (tiny / "empty").mkdir()
    for nothing in ("no*.yaml", "empty", "missing.yaml"):
        done = run_command("check", nothing, cwd=tiny)
        assert done.exit_code == 1
        assert "E101" in done.stderr
        assert nothing in done.stderr


def test_check_reads_standard_input():
    done = process("check", "-", "--format", "json", stdin=TINY)
    assert json.loads(done.stdout)["spec"] == "<stdin>"
    assert done.returncode == 0


def test_json_is_printed_for_what_cannot_be_read(tiny):
    done = run_command("check", "missing.yaml", "--format", "json", cwd=tiny)
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("diagnostics")[0]["code"] == "E101"
    assert found == {
        "spec": "missing.yaml",
        "name": None,
        "ok": False,
        "inputs": {},
        "outputs": {},
        "nodes": [],
        "totals": {"params": None, "buffers": None, "macs": None, "activation_bytes": None},
        "implies": None,
    }
    assert done.exit_code == 1


def test_github_annotations_go_to_standard_output(tiny):
    (tiny / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    done = run_command("check", "wrong.yaml", "tiny.yaml", "--format", "github", cwd=tiny)
    line, counts = done.stdout.splitlines()
    assert counts == "2 specs: 1 fine, 1 wrong; 1 error, 0 warnings"
    assert line.startswith("::error file=wrong.yaml,line=10,")
    assert done.exit_code == 1


def test_set_gives_values_to_parameters(tiny):
    done = run_command("check", "tiny.yaml", "--set", "classes=7", "--format", "json", cwd=tiny)
    assert json.loads(done.stdout)["outputs"] == {"linear": {"shape": [7], "as": "classes"}}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "tiny.yaml", "--set", "clases=7"),
        ("check", "tiny.yaml", "--set", "classes"),
        ("check", "tiny.yaml", "--set", "classes=[1"),
        ("check", "tiny.yaml", "--format", "xml"),
        ("check", "tiny.yaml", "--depth", "0"),
        ("check",),
        ("chekc", "tiny.yaml"),
        ("build", "tiny.yaml", "--target", "caffe"),
        ("build", "tiny.yaml", "--opset", "9"),
        ("build", "tiny.yaml", "--set", "clases=7"),
        ("build", "tiny.yaml", "--print-after", "nothing"),
        ("infer", "tiny.onnx"),
        ("infer", "tiny.onnx", "a.png", "--provider", "abacus"),
        ("explain", "E999"),
    ],
)
def test_a_wrong_call_exits_with_2(tiny, arguments):
    done = run_command(*arguments, cwd=tiny)
    assert done.exit_code == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_explain_prints_a_page():
    done = process("explain", "e301")
    assert done.returncode == 0
    assert done.stdout.startswith("# E301")


def test_explain_knows_commands_and_fields_of_the_recipe():
    assert "--allow-code" in run_command("explain", "import").stdout
    page = run_command("explain", "freeze").stdout
    assert page.startswith("# freeze: a field of `train`")
    assert "| list of strings |" in page
    assert "excludes weights from training" in page


def test_explain_prints_an_index_of_the_ops():
    index = run_command("explain", "ops").stdout
    assert "\nupsample a map\n  upsample             Resize a map" in index
    assert all(f"\n  {op} " in index for op in registry.names())
    assert all(f"{op}" in run_command("explain").stdout for op in ("conv", "attention"))


@pytest.mark.parametrize("word", reference.WORDS)
def test_explain_prints_what_the_reference_says_about_a_word(word):
    page = run_command("explain", word).stdout
    title, _, text = page.partition("\n")
    assert title.startswith("# ")
    assert f"`{word}`" in page or word in title.lower()
    assert len(text) > 100
    assert "## " not in text
    for line in text.splitlines():
        assert line in REFERENCE.splitlines()


def test_every_word_of_the_language_is_explained():
    keys = {*Header.model_fields, *BlockPart.model_fields, *foreign_nodes.WORDS, *EACH_KEYS}
    assert {*keys, "group", "each", "act", "like"} <= {*reference.WORDS}


def test_explain_proposes_a_word():
    done = run_command("explain", "shares")
    assert (done.exit_code, "did you mean `share`?" in done.stderr) == (2, True)


def test_explain_helps_with_ops_of_other_frameworks():
    done = run_command("explain", "nn.LSTM")
    assert done.exit_code == 2
    assert "help: there are no recurrent layers" in done.stderr


def test_output_survives_an_ascii_terminal_and_no_home(tiny):
    done = process("check", "tiny.yaml", cwd=tiny, env={"PYTHONIOENCODING": "ascii", "HOME": "", "LANG": ""})
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(tiny):
    command = f"{sys.executable} -m cnnc check {LENET} {' '.join([str(LENET)] * 50)} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def with_closed(streams, *arguments, cwd):
    command = f"{sys.executable} -m cnnc {' '.join(arguments)} {streams}"
    return subprocess.run(["bash", "-c", command], cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)


@pytest.mark.parametrize("streams", rows([">&-", "2>&-", ">&- 2>&-"], quick=[">&- 2>&-"]))
def test_closed_streams_are_no_error(tiny, streams):
    for arguments, code in ((("check", "tiny.yaml"), 0), (("check", "missing.yaml"), 1), (("explain", "E301"), 0)):
        assert with_closed(streams, *arguments, cwd=tiny).returncode == code


@thorough
def test_a_build_that_nobody_listens_to_is_a_build(tiny):
    assert with_closed(">&- 2>&-", "build", "tiny.yaml", "--target", "onnx", cwd=tiny).returncode == 0
    assert (tiny / "build/tiny/manifest.json").exists()


# -- build


def test_build_writes_every_target_and_says_what_to_do_next(tiny):
    targets = ("--target", "onnx", "--target", "torchscript", "--target", "pt2", "--target", "python")
    done = run_command("build", "tiny.yaml", *targets, cwd=tiny)
    assert done.exit_code == 0, done.stderr
    names = {"tiny.onnx", "tiny.pt", "tiny.pt2", "tiny.py", "tiny.safetensors", "manifest.json"}
    assert {path.name for path in (tiny / "build/tiny").iterdir() if path.name[0] != "."} == names
    assert all(f"build/tiny/{name}" in done.stdout for name in names)
    assert "next: cnnc infer build/tiny/tiny.onnx" in done.stdout
    manifest = json.loads((tiny / "build/tiny/manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"] == {"image": [1, 8, 8]}
    assert manifest["outputs"] == {"linear": [3]}
    assert manifest["seed"] == 0
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert set(manifest["verification"]) == {"onnx", "torchscript", "pt2", "python"}
    assert all(each["largest_relative"] < 1e-3 for each in manifest["verification"].values())


def test_the_onnx_file_stands_by_itself(tiny):
    run_command("build", "tiny.yaml", "--set", "classes=5", "--opset", "17", "-o", "out", cwd=tiny)
    model = onnx.load(tiny / "out/tiny/tiny.onnx")
    said = {each.key: each.value for each in model.metadata_props}
    assert model.opset_import[0].version == 17
    assert json.loads(said["cnnc.contract"])["input"]["mode"] == "grey"
    assert json.loads(said["cnnc.spec"])["params"] == {"classes": 5}
    assert not [each for each in model.graph.node if each.op_type == "Identity"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_same_seed_builds_the_same_files(tiny):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        run_command("build", "tiny.yaml", "--seed", seed, "-o", folder, cwd=tiny)
    one, same, other = ((tiny / folder / "tiny/tiny.onnx").read_bytes() for folder in "abc")
    assert one == same != other


def test_built_weights_build_the_same_network_again(tiny):
    run_command("build", "tiny.yaml", "--seed", 5, "-o", "a", cwd=tiny)
    done = run_command("build", "tiny.yaml", "--weights", "a/tiny/tiny.safetensors", "-o", "b", cwd=tiny)
    assert done.exit_code == 0, done.stderr
    assert (tiny / "a/tiny/tiny.onnx").read_bytes() == (tiny / "b/tiny/tiny.onnx").read_bytes()
    assert list(load_file(tiny / "b/tiny/tiny.safetensors")) == [
        "conv.bias",
        "conv.weight",
        "linear.bias",
        "linear.weight",
    ]


def test_weights_of_another_network_are_refused_and_nothing_is_written(tiny):
    run_command("build", "tiny.yaml", "-o", "a", cwd=tiny)
    done = run_command("build", LENET, "--weights", "a/tiny/tiny.safetensors", cwd=tiny)
    assert done.exit_code == 1
    assert "E401" in done.stderr
    assert not (tiny / "build").exists() or not list((tiny / "build").rglob("*.onnx"))


def test_a_wrong_spec_does_not_touch_an_earlier_build(tiny):
    run_command("build", "tiny.yaml", cwd=tiny)
    before = {path: path.read_bytes() for path in (tiny / "build/tiny").iterdir()}
    (tiny / "tiny.yaml").write_text(WRONG, encoding="utf-8")
    assert run_command("build", "tiny.yaml", cwd=tiny).exit_code == 1
    assert {path: path.read_bytes() for path in (tiny / "build/tiny").iterdir()} == before


def test_print_after_shows_the_graph(tiny):
    done = run_command("build", "tiny.yaml", "--print-after", "drop_identities", cwd=tiny)
    assert "conv = conv(out=2, kernel=(3, 3))(image) : 2×6×6" in done.stdout
    assert "dropout" not in done.stdout


def test_two_builds_into_one_folder_leave_one_whole_result(tiny):
    command = [sys.executable, "-m", "cnnc", "build", "tiny.yaml", "--seed"]
    runs = [subprocess.Popen([*command, str(seed)], cwd=tiny, stdout=subprocess.DEVNULL) for seed in (1, 2)]
    assert [run.wait() for run in runs] == [0, 0]
    done = run_command("build", "tiny.yaml", "--weights", "build/tiny/tiny.safetensors", "-o", "again", cwd=tiny)
    assert done.exit_code == 0
    assert (tiny / "again/tiny/tiny.onnx").read_bytes() == (tiny / "build/tiny/tiny.onnx").read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=thorough)])
def test_a_build_that_is_stopped_leaves_the_earlier_one(tiny, how):
    run_command("build", "tiny.yaml", cwd=tiny)
    folder = tiny / "build/tiny"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = subprocess.Popen(
        [sys.executable, "-m", "cnnc", "build", "tiny.yaml", "--seed", "9"], cwd=tiny, stderr=subprocess.PIPE, text=True
    )
    while run.poll() is None and len(list(folder.iterdir())) == len(before):
        time.sleep(0.005)  # until it has begun to write
    run.send_signal(how)
    _, told = run.communicate()
    assert run.returncode != 0
    assert "Traceback" not in told
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert run_command("build", "tiny.yaml", cwd=tiny).exit_code == 0
    assert {path.name for path in folder.iterdir()} == set(before)  # what the stopped one left is swept


# -- infer


def test_infer_prints_classes_or_a_json_line_a_picture(tiny):
    run_command("build", "tiny.yaml", cwd=tiny)
    Image.new("RGB", (20, 10), "red").save(tiny / "red.png")
    (tiny / "bad.png").write_bytes(b"nothing")
    done = run_command("infer", "build/tiny/tiny.onnx", "bad.png", "red.png", "--provider", "cpu", "-k", "2", cwd=tiny)
    assert done.exit_code == 1
    assert "E503" in done.stderr
    assert done.stdout.startswith("red.png (cpu, ")
    assert len(done.stdout.splitlines()) == 3
    done = run_command("infer", "build/tiny/tiny.onnx", "red.png", "--format", "json", cwd=tiny)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert set(found) >= {"image", "predictions", "provider", "milliseconds"}
    assert [set(each) for each in found["predictions"]] == [{"index", "label", "score"}] * 3
    assert sum(each["score"] for each in found["predictions"]) == pytest.approx(1)


def test_infers_json_is_json_in_an_ascii_terminal(tiny):
    run_command("build", "tiny.yaml", "--target", "onnx", cwd=tiny)
    Image.new("L", (8, 8)).save(tiny / "sm\u00f8rrebr\u00f8d.png")
    arguments = ("infer", "build/tiny/tiny.onnx", "sm\u00f8rrebr\u00f8d.png", "--format", "json")
    done = process(*arguments, cwd=tiny, env={"PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)["image"] == "sm\u00f8rrebr\u00f8d.png"


def on_a_terminal(command, folder):
    """What a command prints to standard output, and what it draws on standard error if that is a terminal."""
    import pty

    terminal, end = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=end) as running:
        os.close(end)
        drawn = b""
        with suppress(OSError):  # EIO: the process has ended
            while piece := os.read(terminal, 1 << 16):
                drawn += piece
        printed = running.stdout.read()
    os.close(terminal)
    assert running.returncode == 0, drawn
    return printed, drawn


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_drawn_on_a_terminal_and_removed(tiny):
    """On standard error alone: standard output holds the results."""
    for name in ("a", "b", "c"):
        (tiny / f"data/train/{name}").mkdir(parents=True)
        Image.new("L", (8, 8)).save(tiny / f"data/train/{name}/p.png")
    for words in ("build tiny.yaml", "eval build/tiny/tiny.onnx --data data --part train --device cpu"):
        printed, drawn = on_a_terminal([sys.executable, "-m", "cnnc", *words.split()], tiny)
        assert b"tiny.onnx" in printed
        assert b"\x1b" not in printed
        assert b"\x1b[?25l" in drawn  # hides the cursor
        assert drawn.rindex(b"\x1b[?25h") > drawn.rindex(b"\x1b[?25l")  # and shows it again


def test_a_full_disk_behind_the_output_is_said():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cnnc", "explain", "E301"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: No space left on device\n"


def test_the_version_and_all_codes_are_printed():
    assert process("--version").stdout.strip()
    assert "E301: " in process("explain").stdout


def test_a_mistake_in_blocks_that_are_used_is_annotated_once(tmp_path):
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks/lib.yaml").write_text("cnnc: 1\nblocks:\n  b:\n    nodes: [rleu]\n", encoding="utf-8")
    for name in ("one", "two"):
        text = "cnnc: 1\ninput: {x: [3]}\nuse: [blocks/lib.yaml]\nnodes: [b]\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    annotation, _ = run_command("check", ".", "--format", "github", cwd=tmp_path).stdout.splitlines()
    assert annotation.startswith("::error ")


def test_no_node_is_called_self(tiny):
    (tiny / "self.yaml").write_text(TINY.replace("conv: {", "conv: {name: self, "), encoding="utf-8")
    assert "E209" in run_command("check", "self.yaml", cwd=tiny).stderr


def test_a_parameter_is_set_in_those_of_several_specs_that_have_it(tiny):
    (tiny / "plain.yaml").write_text("cnnc: 1\ninput: {x: [4]}\nnodes: [{linear: {out: 2}}]\n", encoding="utf-8")
    done = run_command("check", "tiny.yaml", "plain.yaml", "--set", "classes=30", "--format", "json", cwd=tiny)
    assert done.exit_code == 0
    found = {line["name"]: line["outputs"] for line in map(json.loads, done.stdout.splitlines())}
    assert found["tiny"] == {"linear": {"shape": [30], "as": "classes"}}
    assert found["plain"] == {"linear": {"shape": [2], "as": "classes"}}
    done = run_command("check", "tiny.yaml", "plain.yaml", "--set", "clases=30", cwd=tiny)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "none of the specs has a parameter `clases`" in done.stderr


def test_the_nodes_of_another_file_say_which(tiny):
    (tiny / "blocks.yaml").write_text("cnnc: 1\nblocks: {twice: {nodes: [relu, relu]}}\n", encoding="utf-8")
    text = "cnnc: 1\nuse: [blocks.yaml]\ninput: {x: [4]}\nnodes: [{linear: {out: 2}}, twice]\n"
    (tiny / "user.yaml").write_text(text, encoding="utf-8")
    nodes = json.loads(run_command("check", "user.yaml", "--format", "json", cwd=tiny).stdout)["nodes"]
    assert [(each["name"], each["line"], each.get("file")) for each in nodes] == [
        ("linear", 4, None),
        ("twice.relu", 2, "blocks.yaml"),
        ("twice.relu_2", 2, "blocks.yaml"),
    ]


def test_infer_is_next_with_what_the_network_takes_and_its_path_can_be_pasted(tiny):
    done = run_command("build", "tiny.yaml", "--target", "onnx", "-o", "my builds", cwd=tiny)
    assert "next: cnnc infer 'my builds/tiny/tiny.onnx' PICTURE" in done.stdout
    (tiny / "vector.yaml").write_text("cnnc: 1\ninput: {x: [4]}\nnodes: [{linear: {out: 2}}]\n", encoding="utf-8")
    done = run_command("build", "vector.yaml", "--target", "onnx", cwd=tiny)
    assert done.exit_code == 0
    assert "next: cnnc infer build/vector/vector.onnx --input x=FILE" in done.stdout


def test_an_empty_name_is_no_folder(tiny):
    done = run_command("build", "tiny.yaml", "-o", "", cwd=tiny)
    assert done.exit_code == 2
    assert [path.name for path in tiny.iterdir()] == ["tiny.yaml"]
