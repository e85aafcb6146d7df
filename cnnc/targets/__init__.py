"""A graph to files that other programs run: a torch module, TorchScript, `.pt2`, Python source, ONNX.

Takes a `Graph` and weights; writes, loads and runs each kind of file. Start with `torch_module.py`, on which the other
targets build, and `registry.py`, which lists them.
"""
