"""Rewrites of a graph together with its weights, one a file.

Each takes a `Network` and returns one that computes the same in inference. Start with `pipeline.py`, their order.
"""
