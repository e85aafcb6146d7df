"""The command line: `cnnc.cli.commands` is the table of commands, each of which is a module of its own."""
