"""Command line parser: argparse with one-line errors and suggestions.

Takes the words after a command's name. Returns a Namespace with a value for every argument and option, or raises
`WrongCall`. Options may come before, between or after arguments, and cannot be abbreviated.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, NoReturn


class WrongCall(Exception):
    """The command line itself is wrong, not a file that it names: the exit code is 2."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


class OneOf:
    """The type of an option whose value is one of a few words."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(map(str, words))
        self.metavar, self.bounds = f"<{'|'.join(self.words)}>", ""

    def __call__(self, text: str) -> str:
        if text not in self.words:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(map(repr, self.words))}")
        return text


class Number:
    """The type of an option whose value is a number, within optional bounds."""

    words = ()

    def __init__(self, kind: Callable[[str], float] = int, least: float = -inf, most: float = inf) -> None:
        self._kind, self._least, self._most = kind, least, most
        self.metavar = "<integer>" if kind is int else "<number>"
        bounds = [f"at least {least:,}"] * (least > -inf) + [f"at most {most:,}"] * (most < inf)
        self.bounds = " and ".join(bounds)

    def __call__(self, text: str) -> float:
        try:
            number = self._kind(text)
        except ValueError:
            kind = "an integer" if self._kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind}") from None
        if self.bounds and not self._least <= number <= self._most:
            raise argparse.ArgumentTypeError(f"must be {self.bounds}, got {text}")
        return number


class SeveralOf:
    """The type of an option that takes one or more values, with commas between them; `kind` is the type of each."""

    def __init__(self, kind: OneOf | Number) -> None:
        self._kind, self.words, self.bounds = kind, kind.words, kind.bounds
        self.metavar = f"{kind.metavar},..."

    def __call__(self, text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(map(self._kind, text.split(","))))


class Parser(argparse.ArgumentParser):
    """The parser of one command."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog, f"{prog} [OPTIONS]", description, epilog, add_help=False, allow_abbrev=False)
        self._arguments = self.add_argument_group("arguments")
        self._options = self.add_argument_group("options")
        self.by_name: dict[str, argparse.Action] = {}
        self._several: set[str] = set()
        self._add(("-h", "--help"), help="Show this message and exit.", action="help")

    def argument(self, name: str, help: str, *, several: bool = False, required: bool = True) -> None:
        """Add a positional argument; `several` takes one or more values, or any number if it is not required."""
        nargs = ("+" if several else None) if required else "*" if several else "?"
        self._arguments.add_argument(name, help=help, metavar=name.upper(), nargs=nargs)
        self.usage = f"{self.usage} {name.upper() if required else f'[{name.upper()}]'}{'...' * several}"

    def option(
        self,
        *names: str,
        help: str,
        type: Callable[[str], Any] = str,
        default: Any = None,
        repeat: bool = False,
        several: bool = False,
        required: bool = False,
        metavar: str = "TEXT",
    ) -> None:
        """Add an option with a value; `repeat` collects the values of all occurrences in a list, None without any.

        With `several`, the words after a value that have an `=` are values too: `--sweep lr=0.1,1 width=1,2`.
        """
        if isinstance(type, OneOf | Number | SeveralOf):
            metavar = type.metavar
            help += f" [{type.bounds}]" if type.bounds else ""
        help += f" [default: {default}]" if default is not None else ""
        help += " [required]" if required else ""
        action = "append" if repeat or several else "store"
        self._add(names, help=help, type=type, default=default, action=action, required=required, metavar=metavar)
        self._several.update(names if several else ())

    def flag(self, *names: str, help: str) -> None:
        """Add an option without a value, which is False if left out."""
        self._add(names, help=help, action="store_true")

    def switch(self, name: str, help: str) -> None:
        """Add `--name` and `--no-name`; the value is None if both are left out."""
        self._add((name,), help=help, action=argparse.BooleanOptionalAction, default=None)

    def list_commands(self, commands: Mapping[str, str]) -> None:
        """List commands, with their help, as the words that may come after the options."""
        group = self.add_argument_group("commands")
        for name, help in commands.items():
            group.add_argument(name, help=help, nargs="?")
        self.usage = f"{self.usage} COMMAND ..."

    def _add(self, names: Iterable[str], **more: Any) -> None:
        action = self._options.add_argument(*names, **more)
        self.by_name |= dict.fromkeys(action.option_strings, action)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the values of a command line; raises WrongCall, or prints the help and exits."""
        options, arguments = self._separate(iter(words))
        return self.parse_args([*options, "--", *arguments] if arguments else options)

    def _separate(self, words: Iterator[str]) -> tuple[list[str], list[str]]:
        """Return the options, each as one word with its value, and the arguments, which argparse needs side by side."""
        options: list[str] = []
        arguments: list[str] = []
        name = ""
        for word in words:
            if word == "--":
                arguments += words
            elif word.startswith("-") and word != "-":
                options.append(self._with_value(word, words))
                name = options[-1].partition("=")[0]
            elif name in self._several and "=" in word:
                options.append(f"{name}={word}")
            else:
                arguments.append(word)
        return options, arguments

    def _with_value(self, word: str, words: Iterator[str]) -> str:
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            name, equals, value = word[:2], word[2:], word[2:].removeprefix("=")
        if name not in self.by_name:
            from cnnc.diagnostics.suggestions import did_you_mean

            raise WrongCall(f"{self.prog} has no option `{name}`", did_you_mean(name, self.by_name))
        action = self.by_name[name]
        if action.nargs == 0:
            if equals:
                raise WrongCall(f"{name} takes no value")
            return name
        if not equals:
            value = next(words, "--")
            if value == "--" or value in self.by_name:
                raise WrongCall(f"{name} needs a value", f"`{name} {action.metavar}`")
        return f"{action.option_strings[0]}={value}"

    def error(self, message: str) -> NoReturn:
        """Raise WrongCall with an error that argparse has found, reworded."""
        message = message.removeprefix("argument ")
        message = message.replace("the following arguments are required:", f"{self.prog} needs")
        message = message.replace("unrecognized arguments: -- ", "unrecognized arguments: ")  # of a command without any
        message = message.replace("unrecognized arguments:", f"{self.prog} takes no argument")
        raise WrongCall(message, f"`{self.prog} --help` lists arguments and options")
