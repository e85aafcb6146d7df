"""`cnnc lsp`: a language server, which an editor starts and talks to on standard input and output."""

from argparse import Namespace
from typing import BinaryIO, cast

from cnnc.cli.parser import Parser
from cnnc.processes import reserve_stdout


def add_options(parser: Parser) -> None:
    """Add the option of `cnnc lsp`."""
    parser.flag("--stdio", help="Talk on standard input and output. This is always so; many editors add the option.")


def run(given: Namespace) -> int:
    """Serve one editor until it ends the session, and return the exit code."""
    from cnnc.editor.handlers import make_server

    server = make_server()
    server.start_io(stdout=cast("BinaryIO", reserve_stdout()))
    return 0 if server.shut_down else 1
