"""The proved network: frozen nodes with inferred shapes, in order.

`graph.py` has the types `Graph`, `Node`, `Input`, `Output` and `Ref`, which most folders below take. Nothing here
computes what a graph implies (see `analysis`) or changes it (see `passes`).
"""
