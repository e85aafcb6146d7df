"""Expressions in specs, such as `$(2 * channels)`.

Takes a string and the values of the names in it; returns the value, or raises a `Fault` with its place. Length, nesting
and work are limited, so that no string does harm. Start with `strings.py`, then `grammar.py`.
"""
