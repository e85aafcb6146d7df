"""What a graph implies, without running it.

Takes a proved `Graph`; returns costs, memory, receptive fields, the input sizes that it accepts, lints, and the table
and JSON of `cnnc check`. Imports no framework. Start with `check_report.py`, which collects what the table shows.
"""
