"""A row for each field of the recipe: a recipe in which it has an effect, walked by the tests of whole runs.

The first value of a row is the field's own, the rest is what it needs. A second row of a field has its value in its
name. ELSEWHERE are the fields that choose the data, the device or the initial weights; other tests cover them. A new
field must be in one of the two.
"""

from typing import Any

from cnnc.language.recipe import Train

ROWS: dict[str, dict[str, Any]] = {
    "batch": {"batch": 11},
    "epochs": {"epochs": 2},
    "optimizer": {"optimizer": "adamw", "lr": 0.01},
    "optimizer=lamb": {"optimizer": "lamb", "lr": 0.01},
    "optimizer=nadam": {"optimizer": "nadam", "lr": 0.01},
    "lr": {"lr": 0.03},
    "momentum": {"momentum": 0.9},
    "nesterov": {"nesterov": True, "momentum": 0.8},
    "weight_decay": {"weight_decay": 0.01},
    "schedule": {"schedule": "one_cycle"},
    "step_size": {"step_size": 1, "schedule": "step"},
    "gamma": {"gamma": 0.5, "schedule": "step", "step_size": 2},
    "power": {"power": 2.0, "schedule": "polynomial"},
    "warmup": {"warmup": 1},
    "warmup_steps": {"warmup_steps": 7, "schedule": "cosine"},
    "ema": {"ema": 0.9},
    "best": {"best": "loss"},
    "patience": {"patience": 1, "lr": 1e-6, "epochs": 4},
    "init": {"init": "xavier"},
    "augment": {"augment": ["flip", "crop", "color", "resized_crop", "randaugment", "trivialaugment"]},
    "rotation": {"rotation": 30.0},
    "erasing": {"erasing": 0.5},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "class_weights": {"class_weights": [0.5, 1.0, 1.5, 1.0]},
    "sampler": {"sampler": "balanced"},
    "label_smoothing": {"label_smoothing": 0.1},
    "clip": {"clip": 0.1},
    "accumulate": {"accumulate": 2, "batch": 8},
    "precision": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
    "freeze": {"freeze": ["conv"]},
    "lr_scale": {"lr_scale": {"conv": 0.1}},
    "lr_decay": {"lr_decay": 0.5},
    "save_steps": {"save_steps": 2},
}
ELSEWHERE = {
    *("data", "limit", "val_split", "skip_unreadable", "seed", "aux_weight", "tf32", "compile", "fresh"),
    *("recompute", "save_every", "loss", "masks", "shuffle_buffer", "workers", "cache"),
}


def groups() -> list[dict[str, Any]]:
    """The rows in as few recipes as possible: each row is merged into the first recipe that it does not contradict."""
    found: list[dict[str, Any]] = []
    for row in ROWS.values():
        home = next((each for each in found if _agree({**each, **row}, each, row)), None)
        if home is None:
            found.append(home := {})
        home.update(row)
    return found


def _agree(both: dict[str, Any], *parts: dict[str, Any]) -> bool:
    if any(both[key] != value for part in parts for key, value in part.items()):
        return False
    try:
        Train.model_validate(both)
    except ValueError:
        return False
    return True
