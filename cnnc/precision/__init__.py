"""Files with less precision than float32: int8 (quantized) and fp16.

Each takes an ONNX file in float32 and writes another one beside it, with the same contract and names. Outputs of both
are compared on held-out data before the new file is published. Start with `reduce.py`.
"""
