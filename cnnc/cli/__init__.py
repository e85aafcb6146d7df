"""The command line: `cnnc.cli.commands` is the table of commands, and each command has its own module."""
