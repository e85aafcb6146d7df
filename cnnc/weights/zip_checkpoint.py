"""Check zip archives that are given as weights: their kind, by the names inside, and that their bytes are intact.

`torch.save` writes a zip archive with a CRC for each record, but torch's reader does not compare the CRCs. Takes a
path, and raises E402 for archives of another kind and for damaged ones. No record is unpickled here.
"""

from collections.abc import Collection
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from cnnc.diagnostics import CnncError, Code
from cnnc.files import state_hash
from cnnc.files.weights_stamp import Damaged

PIECE = 2**20  # bytes
NEW_COPY = "get another copy of the file, or create it again"


def unreadable(path: Path, reason: str, help: str | None) -> CnncError:
    """Return E402."""
    return CnncError.of(Code.WEIGHTS_UNREADABLE, f"cannot read the weights {path}: {reason}", help=help)


def require_checkpoint(path: Path, endings: str) -> None:
    """Raise E402 if a zip archive is not a torch checkpoint, or is damaged; `endings` lists the supported files.

    Accepts files that are not zip archives, such as checkpoints of torch before 1.6.
    """
    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            _require_kind(path, names, endings)
            if not state_hash.require_intact(path) and (record := _damaged_record(archive)):
                raise Damaged(f"it is damaged: the CRC of its record `{record}` differs")
    except Damaged as error:
        raise unreadable(path, str(error), NEW_COPY) from error
    except CnncError:
        raise
    except Exception as error:  # zipfile raises any type of exception on broken archives
        raise unreadable(path, "it is a damaged zip archive", NEW_COPY) from error


def _require_kind(path: Path, names: Collection[str], endings: str) -> None:
    """Raise E402, naming the archive's kind, unless it is a checkpoint."""
    beside = f"use the weights next to it, {path.stem}.safetensors, or save `model.state_dict()`"
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        raise unreadable(path, "it is TorchScript, a model and not a weights file", beside)
    if last & {"archive_format", "serialized_exported_program.json"}:
        raise unreadable(path, "it is a program of torch.export (.pt2), a model and not a weights file", beside)
    if "data.pkl" in last:
        return
    if names and all(name.endswith(".npy") for name in names):
        way_out = f"`safetensors.numpy.save_file(dict(numpy.load({path.name!r})), 'weights.safetensors')` converts it"
        raise unreadable(path, "it is an archive of NumPy arrays (.npz)", way_out)
    if "model.weights.h5" in last:
        raise unreadable(path, "it is a Keras model", f"weights must be {endings}")
    raise unreadable(path, "it is a zip archive, but not a torch checkpoint", f"weights must be {endings}")


def _damaged_record(archive: ZipFile) -> str | None:
    """Return the first record that does not match its CRC, or None; skips a CRC of 0, which torch may write."""
    for record in archive.infolist():
        if record.CRC == 0:
            continue
        try:
            with archive.open(record) as file:
                while file.read(PIECE):
                    pass
        except (BadZipFile, EOFError):
            return record.filename
    return None
