"""Whether a written file computes what the torch module does.

Takes the module and the files; returns how far their outputs are apart, or raises E404 with the first node that
differs. Start with `verify.py`, whose docstring lists the checks.
"""
