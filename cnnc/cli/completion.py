"""Shell completion: the words that may come next on a command line, and the completion script of each shell.

A script runs `cnnc` with the words up to the cursor and `_CNNC_COMPLETE` in the environment. It gets a line for each
possible word: the word, a tab, its help. If there is none, the shell completes file names.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnc.cli.commands import COMMANDS, bare_parser, parser_of
from cnnc.cli.parser import Parser

BASH = """\
_cnnc() {
  local IFS=$'\\n'
  COMPREPLY=($(_CNNC_COMPLETE=1 cnnc "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _cnnc cnnc
"""
ZSH = """\
_cnnc() {
  local -a found
  found=(${(f)"$(_CNNC_COMPLETE=1 cnnc "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  found=(${found/$'\\t'/:})
  (( $#found )) && _describe cnnc found || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _cnnc cnnc
"""
FISH = """\
complete --command cnnc --arguments \\
  '(env _CNNC_COMPLETE=1 cnnc (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"""
POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName cnnc -ScriptBlock {
  param($word, $line, $cursor)
  $words = @($line.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($word -eq '') { $words += ' ' }  # an empty word would be lost
  $env:_CNNC_COMPLETE = 1
  cnnc @words 2>$null | ForEach-Object {
    $name, $help = $_ -split "`t"
    [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $help)
  }
  $env:_CNNC_COMPLETE = $null
}
"""


SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH, "powershell": POWERSHELL}
HOMES = {  # the script's path, and the start-up file that must source it, if the shell does not do so by itself
    "bash": ("~/.bash_completions/cnnc.sh", "~/.bashrc"),
    "zsh": ("~/.zsh_completions/cnnc.zsh", "~/.zshrc"),
    "fish": ("~/.config/fish/completions/cnnc.fish", None),
}


def complete(words: Sequence[str]) -> Iterator[str]:
    """Yield the lines for a shell; `words` end at the cursor, and the last one may be unfinished or empty."""
    *before, current = [word for word in words if word != "="] or [""]  # bash splits words at `=`
    for word, help in _next(before, current):
        if word.startswith(current.strip()):
            yield f"{word}\t{help}"


def _next(before: Sequence[str], current: str) -> Iterator[tuple[str, str]]:
    """Yield the words that may come after `before`, each with its help."""
    name = next((word for word in before if not word.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        return
    parser = bare_parser() if name is None else parser_of(name)
    option, equals, _ = current.partition("=")
    if equals:
        yield from ((f"{option}={word}", "") for word in _values(parser, option))
    elif values := _values(parser, before[-1] if before else ""):
        yield from ((word, "") for word in values)
    elif current.startswith("-"):
        yield from ((option, action.help or "") for option, action in parser.by_name.items())
    elif name is None:
        yield from ((name, command.help) for name, command in COMMANDS.items())


def _values(parser: Parser, option: str) -> Sequence[str]:
    """Return the values of an option that takes one of a few words, else nothing."""
    action = parser.by_name.get(option)
    return () if action is None else getattr(action.type, "words", ())


def install(shell: str) -> str:
    """Write a shell's script, make the shell run it at every start, and return its path; raises CnncError (E405)."""
    from cnnc.files.write import reported, write_file

    home, start = HOMES[shell]
    path = Path(home).expanduser()
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, SCRIPTS[shell].encode())
    if start is not None:
        rules = Path(start).expanduser()
        with reported(rules):
            written = rules.read_text(encoding="utf-8") if rules.exists() else ""
        line = f"source '{path}'"
        if line not in written.splitlines():
            write_file(rules, "\n".join([*written.splitlines(), line, ""]).encode())
    return str(path)
