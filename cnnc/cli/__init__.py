"""The command line: one thin file a command.

A command has `add_options` and `run`, which returns the exit code. It parses options, calls the other folders and
prints. Start with `app.py`, which runs a command and reports errors, and `commands.py`, which lists them.
"""
