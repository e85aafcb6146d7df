"""Importing existing networks: an ONNX file becomes a flat spec and its weights.

`importer.read` is the way in. It takes a path and returns an `Imported`: the plain spec, the weights by the keys of its
state_dict, and the path in the source of each node. `proof` compares both networks before anything is written.
"""
