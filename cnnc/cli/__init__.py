"""The command line: `cnnc.cli.app` holds the table of commands, each of which is a module of its own."""
