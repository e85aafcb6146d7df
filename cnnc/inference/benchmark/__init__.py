"""Measure ONNX files in onnxruntime: the implementation of `cnnc bench`.

`measure` runs every configuration (a file, a batch size, a number of threads, a provider) in child processes of its own
(`child`), in turns with the others. `report` and `chart` show the results; `profile` sums the time of nodes by block.
"""
