"""Reads specs from git revisions: `REV:path`.

The spec and the files that it uses are copied from the revision to a temporary folder; nothing is checked out. Paths
are as in git: relative to the root of the repository, or to the working directory if they begin with `./`. `:path` is a
file in the index. Diagnostics name the files as `REV:path`.
"""

import os
import posixpath
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from cnnc.diagnostics import CnncError, Code, Diagnostic, Note, Source, Span
from cnnc.text.reader import parse_text
from cnnc.text.source import LIMIT, decode


@contextmanager
def at_revision(given: str) -> Iterator[str]:
    """Context manager: the path of a spec, `given` itself if the file exists, else a copy from its revision.

    Raises E101 if git does not have the file. CnncErrors from the body name the files as `REV:path`.
    """
    revision, colon, path = given.partition(":")
    if not colon or os.path.exists(given):
        yield given
        return
    with TemporaryDirectory(prefix="cnnc-") as folder:
        home = Path(folder).resolve()
        spec = _lay_out(home, revision, _from_top(given, path))
        try:
            yield str(spec)
        except CnncError as error:
            raise CnncError(_renamed(each, f"{home}{os.sep}", f"{revision}:") for each in error.diagnostics) from None


def renamed(name: str, given: str) -> str:
    """Return the name of a file of `at_revision(given)` as in messages: `REV:path` for a copy, else the same."""
    parts = Path(name).parts
    top = Path(gettempdir()).resolve().parts
    if os.path.exists(given) or parts[: len(top)] != top:
        return name
    return f"{given.partition(':')[0]}:{'/'.join(parts[len(top) + 1 :])}"


def file_of(name: str, given: str) -> str:
    """Return the path of a file of `at_revision(given)` in the repository, or its name if it is no copy."""
    full = renamed(name, given)
    return full if full == name else full.partition(":")[2]


def _from_top(given: str, path: str) -> str:
    """A path relative to the root of the repository."""
    if path.split("/", maxsplit=1)[0] in (".", ".."):
        with _git(given, "rev-parse", "--show-prefix") as git:
            path = git.communicate()[0].decode().removesuffix("\n") + path
    return posixpath.normpath(path)


def _lay_out(home: Path, revision: str, path: str) -> Path:
    """Copy a spec and all files that it uses to `home`; returns the path of the spec."""
    first = _content(revision, path)
    if first is None:
        raise _missing(revision, path)
    contents, left = {path: first}, [path]
    while left:
        for used in _uses(contents[at := left.pop()], at):
            if used not in contents and (content := _content(revision, used)) is not None:
                contents[used] = content
                left.append(used)
    for each, content in contents.items():
        (home / each).parent.mkdir(parents=True, exist_ok=True)
        (home / each).write_bytes(content)
    return home / path


def _uses(content: bytes, path: str) -> Iterator[str]:
    """The files that `use` names; errors in the file or an entry are left to the check."""
    try:
        use = parse_text(decode(path, content)).plain().get("use")
    except CnncError:
        return
    for entry in use if isinstance(use, list) else ():
        if isinstance(entry, str) and not entry.startswith("/") and ".." not in entry.split("/"):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), entry))


def _content(revision: str, path: str) -> bytes | None:
    """The content of a file, cut after LIMIT + 1 bytes; None if it does not exist. Follows links in the repository."""
    return _object(f"{revision}:{path}", b"blob")


def _object(name: str, kind: bytes) -> bytes | None:
    if "\n" in name:  # git would read two names
        return None
    with _git(name, "cat-file", "--batch", "--follow-symlinks") as git:
        assert git.stdin
        assert git.stdout
        assert git.stderr
        with suppress(BrokenPipeError):
            git.stdin.write(f"{name}\n".encode())
            git.stdin.close()
        head = git.stdout.readline()
        found = re.fullmatch(rb"[0-9a-f]+ (\w+) (\d+)\n", head)
        content = git.stdout.read(min(int(found[2]), LIMIT + 1)) if found and found[1] == kind else None
        git.kill()
        if not head:
            raise _no_git(name, git.stderr.read().decode(errors="replace").strip() or "git printed no error")
        return content


def _git(name: str, *arguments: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            ("git", *arguments), stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError:
        raise _no_git(name, "git is not installed") from None


def _no_git(name: str, reason: str) -> CnncError:
    help = "`REV:path` names a file in a git revision; write an ordinary path without a colon"
    return CnncError.of(Code.UNREADABLE, f"there is no file {name}, and git failed: {reason}", help=help)


def _missing(revision: str, path: str) -> CnncError:
    if revision and _object(f"{revision}^{{tree}}", b"tree") is None:
        return CnncError.of(
            Code.UNREADABLE, f"git has no revision `{revision}`", help="list the revisions with `git log`"
        )
    where = f"the revision `{revision}`" if revision else "git's index"
    help = "write the path from the root of the repository, or `./…` from the working directory"
    return CnncError.of(Code.UNREADABLE, f"there is no file `{path}` in {where}", help=help)


def _renamed(each: Diagnostic, home: str, name: str) -> Diagnostic:
    """A diagnostic with the names of files under `home` replaced by names in the revision."""
    sources: dict[Source, Source] = {}

    def text(message: str) -> str:
        return message.replace(home, name)

    def place(span: Span | None) -> Span | None:
        if span is None:
            return None
        source = sources.setdefault(span.source, Source(text(span.source.name), span.source.text))
        return span._replace(source=source)

    return replace(
        each,
        message=text(each.message),
        span=place(each.span),
        label=each.label and text(each.label),
        notes=tuple(Note(text(note.message), place(note.span)) for note in each.notes),
        help=each.help and text(each.help),
    )
