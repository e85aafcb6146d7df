"""Atomic writing of files: a new file is complete, or the old one is unchanged.

Data is written to a staging folder next to the target, flushed to the disk, and renamed. A writer locks its staging
folder; the next writer removes folders of writers that were killed. New files get the mode of the umask. Errors of the
system become the diagnostic E405.
"""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, BinaryIO

from cnnc.diagnostics import CnncError, Code
from cnnc.files import leftovers
from cnnc.files.checks import kind_of

if sys.platform != "win32":  # there, renames are still atomic, but killed writers' folders stay
    import fcntl

Data = bytes | Callable[[BinaryIO], object]

STAGE = ".cnnc-"
LOCK = "lock"
ATTEMPTS = 1000  # to create a staging folder, which another writer may remove before it is locked
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than the system allows",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "its folder does not exist",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "it is a symbolic link that leads back to itself",
}


def write_file(path: Path, data: Data) -> None:
    """Write `data` (bytes, or a function that writes to the open file) to `path`; raises E405.

    A symbolic link stays, and the file that it points to is replaced.
    """
    with reported(path):
        place = place_of(path)
        with _staging(place.parent) as stage:
            _write(stage / place.name, data)
            _rename(stage / place.name, place)


def rewrite_file(path: Path, data: Data) -> None:
    """Like `write_file`, but for a file that exists: it keeps its mode and, if possible, its owner.

    Raises E405 also if the file is read-only.
    """
    with reported(path):
        place = place_of(path)
        if not os.access(place, os.W_OK):
            message = f"cannot write {path}: it is read-only"
            raise CnncError.of(Code.NOT_WRITTEN, message, help="make it writable; the file is unchanged")
        with _staging(place.parent) as stage:
            _write(stage / place.name, data)
            _copy_owner_and_mode(place, stage / place.name)
            _rename(stage / place.name, place)


def _copy_owner_and_mode(old: Path, new: Path) -> None:
    if sys.platform != "win32":
        status = old.stat()
        with suppress(OSError):  # only root may give a file away
            os.chown(new, status.st_uid, status.st_gid)
    shutil.copymode(old, new)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Context manager: a temporary folder inside `folder` for files that `publish` will move into `folder`.

    It is removed at the end, and so are folders that were created for it and stay empty.
    """
    new = missing_folders(folder)
    with ExitStack() as stack:
        stack.callback(remove_empty, new)
        with reported(folder):
            stage = stack.enter_context(_staging(folder, make=True))
        yield stage


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, or none of them; raises E405."""
    new = missing_folders(folder)
    with reported(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            remove_empty(new)
            raise


def missing_folders(folder: Path) -> list[Path]:
    """Return the folder and its parents that do not exist, the innermost first."""
    return [each for each in (folder, *folder.parents) if not os.path.exists(each)]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove empty folders, the innermost first; stops at one that has files."""
    for each in folders:
        try:
            each.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):  # else it could not be made
                return


def stage_file(path: Path, data: Data) -> None:
    """Write a file to a staging folder and flush it to the disk; raises E405."""
    with reported(path):
        _write(path, data)


def flush_staged(path: Path) -> None:
    """Flush a file in a staging folder, written by a library, to the disk; raises E405."""
    with reported(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def publish(folder: Path, files: Mapping[str, Path]) -> None:
    """Rename staged files to their names in `folder`, the last one (the manifest) after all others.

    Names may contain subfolders, with `/` between them.

    A lock keeps two builds from mixing their files. The old manifest is removed first, so that an interrupted build
    leaves no manifest rather than one that does not match its files. Files of earlier builds that this one does not
    write are removed.
    """
    *names, manifest = files
    with reported(folder), _alone(folder / f"{STAGE}{LOCK}"):
        for name in files:
            make_folder((folder / name).parent)
            place_of(folder / name)
        written = leftovers.noted(folder) | leftovers.named(folder / manifest) | leftovers.named(files[manifest])
        note = files[manifest].with_name(leftovers.NOTE)
        _write(note, leftovers.as_note(written))
        _rename(note, folder / leftovers.NOTE)
        (folder / manifest).unlink(missing_ok=True)
        for name in names:
            _rename(files[name], folder / name)
        leftovers.remove(folder, written, keep=files)
        _rename(files[manifest], folder / manifest)
        (folder / leftovers.NOTE).unlink()


def place_of(path: Path) -> Path:
    """Return the path with links resolved; raises an error for a device, a pipe, a folder or a circular link."""
    place = Path(os.path.realpath(path))
    if os.path.islink(place):
        raise OSError(errno.ELOOP, "loop", str(path))
    if os.path.isdir(place):
        raise OSError(errno.EISDIR, "folder", str(path))
    if os.path.exists(place) and (kind := kind_of(place.stat().st_mode)):
        raise CnncError.of(Code.NOT_WRITTEN, f"cannot write {path}: it is {kind}, not a file")
    return place


def _write(path: Path, data: Data) -> None:
    with path.open("xb") as file:
        file.write(data) if isinstance(data, bytes) else data(file)
        file.flush()
        os.fsync(file.fileno())


def _rename(staged: Path, place: Path) -> None:
    staged.replace(place)
    with suppress(OSError):  # not every system can flush a folder, and the file itself is already safe
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _staging(folder: Path, make: bool = False) -> Iterator[Path]:
    sweep(folder)
    stage, lock = _locked_stage(folder, make)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        lock.close()


def _locked_stage(folder: Path, make: bool) -> tuple[Path, IO[bytes]]:
    """Create and lock a staging folder, again if another writer removes it or `folder` before it is locked.

    Raises OSError, also for a folder such as /proc, which exists but lets nobody create anything in it.
    """
    for _ in range(ATTEMPTS):
        stage = folder / f"{STAGE}{token_hex(8)}"
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder.stat()
        with suppress(FileNotFoundError):
            stage.mkdir(mode=0o700)
            lock = _lock(stage / LOCK)
            if os.path.exists(stage / LOCK):
                return stage, lock
            lock.close()
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def sweep(folder: Path) -> None:
    """Remove staging folders whose writers have died, so that their locks are free."""
    for stage in folder.glob(f"{STAGE}*/"):
        with suppress(OSError):
            if not os.path.exists(stage / LOCK):
                stage.rmdir()
            elif sys.platform != "win32":
                with (stage / LOCK).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(stage, ignore_errors=True)


def _lock(path: Path) -> IO[bytes]:
    file = path.open("ab")
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock at `path`. Its file is removed with the lock, so a writer that waited for it locks a new file."""
    if sys.platform == "win32":
        yield
        return
    lock = _lock(path)
    while not _is_still_at(path, lock):
        lock.close()
        lock = _lock(path)
    try:
        yield
    finally:
        path.unlink()
        lock.close()


def _is_still_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of the system into E405, also if torch's writers wrap them in other errors."""
    try:
        yield
    except CnncError:
        raise
    except Exception as error:
        cause = _system_error(error)
        if cause is None:
            raise
        message = f"cannot write {_blocked(cause, path)}: {_reason(cause, path)}"
        raise CnncError.of(Code.NOT_WRITTEN, message, help=_help(cause)) from error


def _blocked(cause: OSError, path: Path) -> Path:
    """The path that could not be written: `path`, or a file in it that is blocked by something else."""
    paths = (Path(each) for each in (cause.filename2, cause.filename) if isinstance(each, str))
    inside = (each for each in paths if each.parent == path and cause.errno in (errno.EISDIR, errno.ELOOP))
    return next(inside, path)


def _reason(cause: OSError, path: Path) -> str:
    """The reason in words, with the parent folder that causes it, if any."""
    around = (path, *path.parents)
    if cause.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{next(filter(os.path.lexists, around))} is not a folder"
    if cause.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to write to the folder {next(filter(os.path.isdir, around))}"
    return REASONS.get(cause.errno or 0, cause.strerror or str(cause))


def _system_error(error: BaseException | None) -> OSError | None:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _help(cause: OSError) -> str:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return "existing files are unchanged; free some space, or write to another disk"
    return "existing files are unchanged; write to another folder"
