"""The operations: one class each, one file a family.

A class states the attributes, how shapes are inferred, cost, receptive field, and how the op becomes torch and ONNX.
Start with `base.py`, the interface, and a small family such as `linear.py`; `registry.py` lists them all.
"""
