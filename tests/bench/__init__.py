"""The budgets, measured: `python -m tests.bench`, or `make bench`.

Every number is a ratio of two things timed in one run, in turns, so that it means the same on any machine.
"""
