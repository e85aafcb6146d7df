"""Models and pictures to predictions; and `cnnc eval`.

Takes a model file and pictures or a data set; returns classes with scores, or an `Evaluation`. A model that cnnc did
not build runs in a child process with a time limit. `cnnc infer` imports neither torch nor networkx. Start with
`predict.py`.
"""
