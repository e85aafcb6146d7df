"""Checkpoints of other programs: reading them, and matching their tensors with a network's.

Takes a `.safetensors`, torch or ONNX file and the shapes that the network needs; returns the state_dict, or a proposed
map of names. A file is untrusted: nothing in it is run. Start with `load.py`.
"""
