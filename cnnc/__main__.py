"""`python -m cnnc` is the command line."""

from cnnc.cli import main

main()
