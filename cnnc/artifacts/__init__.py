"""A build: the files of `OUT/NAME/`, written all or not at all.

Takes a proved graph, its torch module and the targets; returns a `Built`. Every file is verified before it is
published. The contract in an ONNX file describes its input and outputs to `cnnc infer`. Start with `export.py`.
"""
