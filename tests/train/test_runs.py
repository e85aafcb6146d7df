"""Whole runs in this process: they learn, they can be stopped at any step, and they go on as if they never were."""

import json
import resource
import signal

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import cnnc
from cnnc.data import folder as picture_folder
from cnnc.diagnostics import CnncError, missing_packages
from cnnc.train import checkpoint
from cnnc.train.monitor.console import summary
from cnnc.train.run import train
from tests.damage import damaged
from tests.train.conftest import Quiet, draw, spec

EVERYTHING = {"augment": ["flip", "crop", "color"], "momentum": 0.9, "schedule": "cosine", "warmup": 1}


def weights(run, name="last"):
    return load_file(run.folder / f"{name}.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(one[key].equal(other[key]) for key in one)


def metrics(run):
    return [(each.train_loss, each.train_accuracy, each.test_loss, each.test_accuracy) for each in run.records]


def test_a_run_learns_and_says_so(trained):
    run = trained(epochs=4)
    assert run.records[0].train_loss > run.records[-1].train_loss
    assert run.best.test_accuracy > 0.9
    assert run.signal == 0
    assert {path.name for path in run.folder.iterdir()} >= {
        "last.safetensors",
        "best.safetensors",
        "state.pt",
        "run.json",
    }
    about = json.loads((run.folder / "run.json").read_text())
    assert (about["epochs_done"], about["recipe"]["epochs"]) == (4, 4)
    assert about["best"]["test_accuracy"] == run.best.test_accuracy


def test_the_weights_compile_into_the_module_that_was_tested(trained, pictures):
    run = trained(epochs=2)
    module = cnnc.compile(spec(), weights=run.weights).eval()
    assert_same(module.state_dict(), weights(run, "best"))


def test_seeds_decide(trained):
    one, same, other = trained(out="a", seed=1), trained(out="b", seed=1), trained(out="c", seed=2)
    assert_same(weights(one), weights(same))
    assert metrics(one) == metrics(same)
    assert not weights(one)["conv.weight"].equal(weights(other)["conv.weight"])


@pytest.mark.parametrize(
    ("step", "given"),
    [
        *((step, {}) for step in (1, 3, 5, 6, 15)),
        (8, {"channels_last": True}),
        (8, {"clip": 0.1, "precision": "bf16"}),
    ],
)
def test_a_run_that_was_stopped_goes_on_bit_for_bit(trained, stop_at, step, given):
    source = spec(**EVERYTHING, **given)
    source["nodes"].insert(1, {"conv": {"out": 6, "kernel": 3, "padding": 1}})
    whole = trained(source, out="whole")
    stop_at(step)
    cut = trained(source, out="cut")
    assert cut.signal == signal.SIGTERM
    assert len(cut.records) < 3
    torch.rand(7)  # what else draws from torch's generator does not matter
    again = go_on(trained, source)
    assert_same(weights(whole), weights(again))
    assert_same(weights(whole, "best"), weights(again, "best"))
    assert metrics(whole) == metrics(again)


def go_on(trained, source, out="cut", **given):
    return trained(source, out=out, resume=True, **given)


def test_an_ended_run_can_go_on_for_longer(trained):
    whole = trained(out="whole", epochs=3)
    trained(out="cut", epochs=1)
    again = go_on(trained, None, epochs=3)
    assert_same(weights(whole), weights(again))
    assert metrics(whole) == metrics(again)


def test_accumulation_is_a_larger_batch(trained):
    quiet = spec(norm=False, dropout=0)
    one, four = trained(quiet, out="one", batch=28), trained(quiet, out="four", batch=7, accumulate=4)
    for key, value in weights(one).items():
        torch.testing.assert_close(weights(four)[key], value, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_what_a_step_can_do(trained):
    plain = spec(norm=False, dropout=0, init="xavier")
    before, after = (trained(plain, out=f"c{n}", epochs=n, batch=70, lr=1.0, clip=0.01) for n in (1, 2))
    moved = sum((weights(after)[key] - value).square().sum() for key, value in weights(before).items())
    assert moved.sqrt() <= 0.0101


@pytest.mark.parametrize(
    "given",
    [{"precision": "bf16"}, {"precision": "auto"}, {"channels_last": True}, {"optimizer": "adamw", "lr": 0.01}],
)
def test_other_ways_to_compute_learn_as_well(trained, given):
    assert trained(epochs=4, **given).best.test_accuracy > 0.9


def test_a_tail_of_one_example_is_no_trouble_for_batch_norm(trained):
    flat = spec()
    flat["nodes"].append({"batch_norm": {}})
    assert len(trained(flat, batch=69, epochs=1).records) == 1


def test_a_loss_that_is_not_finite_names_its_place(trained):
    wild = {**spec(lr=1e6), "nodes": [{"flatten": {}}, {"linear": {"out": 8}}, {"linear": {"out": 4}}]}
    with pytest.raises(CnncError, match=r"E511.*epoch \d, step \d: `\w+` is the first node") as caught:
        trained(wild, epochs=30)
    assert "lower `lr`" in caught.value.diagnostics[0].help
    again = trained(wild, resume=True, lr=0.01, epochs=3)
    assert len(again.records) == 3


def test_the_first_bad_node_is_the_one_whose_numbers_overflow(trained):
    source = spec(norm=False, dropout=0)
    source["input"] = {"image": {"shape": [1, 12, 12], "std": [1e-12]}}
    source["nodes"].insert(1, {"mul": {"name": "square", "from": ["conv", "conv"]}})
    source["nodes"].insert(2, {"mul": {"name": "fourth", "from": ["square", "square"]}})
    with pytest.raises(CnncError, match=r"E511.*epoch 1, step 1: `fourth` is the first node with a non-finite"):
        trained(source)


def test_a_changed_spec_is_noticed(trained):
    trained(epochs=1)
    other = spec()
    other["nodes"][0]["conv"]["out"] = 5
    with pytest.raises(CnncError, match=r"E512.*the spec has changed"):
        trained(other, resume=True)


def test_a_changed_recipe_is_noticed(trained):
    trained(epochs=1)
    with pytest.raises(CnncError, match=r"E512.*`lr` of `train` was 0.1"):
        trained(spec(lr=0.2), resume=True)


def test_changed_data_is_noticed(trained, pictures):
    trained(epochs=1)
    pictures(seed=5)
    with pytest.raises(CnncError, match=r"E512.*the data has changed"):
        trained(resume=True)


@pytest.mark.parametrize(("name", "says"), [("state.pt", "damaged"), ("run.json", "it is damaged or was changed")])
def test_damage_to_a_run_is_noticed(trained, name, says):
    """Where it is not, the run goes on from the same state."""
    folder = trained(epochs=1).folder
    whole, data = plain(checkpoint.read(folder)), (folder / name).read_bytes()
    for damage in damaged(data, 60):
        (folder / name).write_bytes(damage)
        try:
            found = plain(checkpoint.read(folder))
        except CnncError as error:
            found = error.diagnostics[0].message
        assert found == whole or (
            f"cannot resume from {folder / name}" in found and says in found and "Error" not in found
        )
    (folder / name).write_bytes(data)
    assert len(trained(resume=True, epochs=2).records) == 2


def plain(saved):
    """A checkpoint as a text, with every number in it."""
    torch.set_printoptions(profile="full", precision=9)
    try:
        return str(saved)
    finally:
        torch.set_printoptions(profile="default")


def test_a_state_without_its_last_line_is_damaged(trained):
    state = trained(epochs=1).folder / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(CnncError, match=r"E512.*state.pt: it is damaged: the line at its end"):
        trained(resume=True)


def test_torch_reads_a_state_and_a_run_of_an_earlier_version_goes_on(trained):
    folder = trained(epochs=1).folder
    saved = torch.load(folder / "state.pt", weights_only=True)
    torch.save({**saved, "version": 1}, folder / "state.pt")
    (folder / "run.json").unlink()
    assert len(trained(resume=True, epochs=2).records) == 2
    torch.save({**saved, "version": 3}, folder / "state.pt")
    with pytest.raises(CnncError, match=r"E512.*it has version 3, but this cnnc reads 2"):
        trained(resume=True)


def test_a_new_run_keeps_the_folder_of_the_earlier_one(trained):
    first = weights(trained(seed=1, epochs=1))
    run = trained(seed=2, epochs=1)
    assert trained.said == [f"the earlier run in {run.folder} is now in {run.folder}.1"]
    assert_same(load_file(run.folder.with_name("net.1") / "last.safetensors"), first)
    assert not weights(run)["conv.weight"].equal(first["conv.weight"])


def test_resume_begins_where_there_is_nothing_to_resume(trained):
    run = trained(resume=True, epochs=1)
    assert len(run.records) == 1
    assert trained.said == [f"there is no run to resume in {run.folder}: a new run starts"]


@pytest.mark.parametrize("left", ["run.json", "last.safetensors", "best.safetensors", "metrics.jsonl", "curves.png"])
def test_a_run_whose_state_is_gone_is_not_overwritten(trained, tmp_path, left):
    folder = tmp_path / "runs" / "net"
    folder.mkdir(parents=True)
    (folder / left).write_bytes(b"kept")
    with pytest.raises(CnncError, match=rf"E512.*state.pt: it is missing, although the folder holds {left} of a run"):
        trained(resume=True, epochs=1)
    assert [path.name for path in folder.iterdir()] == [left]
    run = trained(epochs=1)
    assert trained.said == [f"the earlier run in {run.folder} is now in {run.folder}.1"]
    assert (tmp_path / "runs" / "net.1" / left).read_bytes() == b"kept"


def test_what_is_no_part_of_a_run_stays_beside_it(trained, tmp_path):
    folder = tmp_path / "runs" / "net"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    run = trained(resume=True, epochs=1)
    assert trained.said == [f"there is no run to resume in {run.folder}: a new run starts"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_complete_run_has_nothing_to_resume(trained):
    first = trained(epochs=1)
    again = trained(resume=True)
    (said,) = trained.said
    assert said.startswith(f"the run in {first.folder} is already complete, with 1 epoch;")
    assert again.records == first.records
    told = summary("net.json", again.weights, again.best, again.records[-1], again.examples_per_second, 0)
    assert "examples/s" not in told
    assert "next: cnnc build" in told


def test_a_resumed_run_says_that_it_does_not_begin_with_weights(trained, pictures, tmp_path):
    begun = weights(trained(epochs=1))
    given = {"data": pictures(), "epochs": 2}
    train(
        cnnc.load(spec()), given, tmp_path / "runs", resume=True, weights=begun, device="cpu", say=trained.said.append
    )
    (said,) = trained.said
    assert said.startswith("`--weights` is only for a new run")


def save_pictures(folder, count=24):
    """A folder of pictures of which one of each part is cut off; gives these two."""
    for part in ("train", "test"):
        for at, (image, label) in enumerate(zip(*draw(count, 1), strict=True)):
            path = folder / part / f"c{label}" / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(path)
    broken = [folder / "train" / "c1" / "5.png", folder / "test" / "c2" / "10.png"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    return broken


@pytest.mark.parametrize("room", [picture_folder.IN_MEMORY, 0], ids=["before it starts", "while it trains"])
def test_pictures_that_cannot_be_read_are_all_told(trained, tmp_path, monkeypatch, room):
    broken = save_pictures(tmp_path / "files")
    monkeypatch.setattr(picture_folder, "IN_MEMORY", room)
    with pytest.raises(CnncError, match=r"E508.*cannot read 2 of the 48 pictures") as caught:
        trained(data=str(tmp_path / "files"))
    (diagnostic,) = caught.value.diagnostics
    assert [str(path) in note.message for path, note in zip(broken, diagnostic.notes, strict=True)] == [True, True]


def test_a_run_without_those_pictures_says_so_and_remembers_it(trained, tmp_path):
    broken = save_pictures(tmp_path / "files")
    first = trained(data=str(tmp_path / "files"), epochs=1, skip_unreadable=True)
    about = json.loads((first.folder / "run.json").read_text())
    assert about["skipped"] == list(map(str, broken))
    assert trained.said[0].startswith("left out 2 of the 48 pictures in")
    assert [str(path) in said for path, said in zip(broken, trained.said[1:3], strict=True)] == [True, True]
    assert len(trained(data=str(tmp_path / "files"), epochs=2, resume=True).records) == 2


def test_a_picture_smaller_than_the_crop_is_named(trained, tmp_path, monkeypatch):
    for path in save_pictures(tmp_path / "files"):
        path.unlink()
    Image.new("L", (11, 12)).save(tmp_path / "files/train/c0/small.png")
    source = spec()
    source["input"] = {"image": {"shape": [1, 12, 12], "crop": [12, 12]}}
    with pytest.raises(CnncError, match=r"E510.*train/c0/small.png: the pictures are 12 × 11"):
        trained(source, data=str(tmp_path / "files"))


def test_a_full_disk_leaves_the_earlier_checkpoint(trained):
    whole = trained(out="whole", epochs=3)
    trained(out="cut", epochs=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CnncError, match="E405"):
            go_on(trained, None, epochs=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    again = go_on(trained, None, epochs=3)
    assert_same(weights(whole), weights(again))


def test_the_callers_torch_is_as_it_was(trained):
    torch.manual_seed(5)
    state, before = torch.get_rng_state(), signal.getsignal(signal.SIGTERM)
    trained(epochs=1, seed=3, tf32=True)
    assert torch.get_rng_state().equal(state)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("source", "given", "says"),
    [
        (spec(classes=3), {}, "E510.*the output `linear` is 3, but .* has 4 classes"),
        ({**spec(), "input": {"image": [2, 12, 12]}}, {}, "E510.*have 1 channels, but the network takes 2"),
        (
            {**spec(), "nodes": [{"flatten": {}}, {"batch_norm": {}}, {"linear": {"out": 4}}]},
            {"batch": 1},
            "E510.*batch_norm",
        ),
        (None, {"precision": "16"}, "E514.*needs a GPU"),
        (None, {"data": "/nowhere"}, "E508"),
        (None, {"epochs": 0}, "E203.*`epochs`"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(trained, tmp_path, source, given, says):
    with pytest.raises(CnncError, match=says):
        trained(source, **given)
    assert not (tmp_path / "runs").exists()


def test_a_gpu_that_is_not_there_is_said_so(trained, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(CnncError, match=r"E514.*cannot train on 1 cuda device, found 0"):
        train(cnnc.load(spec()), {"data": pictures()}, tmp_path, device="cuda")


def test_a_missing_extra_says_what_to_install(trained, monkeypatch):
    find = missing_packages.find_spec
    monkeypatch.setattr(missing_packages, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    with pytest.raises(CnncError, match=r"E513.*training needs tensorboard, which is not installed") as caught:
        trained()
    assert "[train]" in caught.value.diagnostics[0].help


def test_a_watcher_is_told_how_far_the_stopped_epoch_was(trained, stop_at, monkeypatch):
    begun = []
    monkeypatch.setattr(Quiet, "on_start", lambda self, *about: begun.append(about[-1]))
    stop_at(3)
    trained(epochs=1)
    trained(epochs=1, resume=True)
    (first, second) = begun
    assert first == (0, 0.0)
    assert second[0] == 3
    assert second[1] > 0
