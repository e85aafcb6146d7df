"""The command line: `cnnc.cli.app` holds the commands, `cnnc.cli.infer` the one that starts without typer."""
