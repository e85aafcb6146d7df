"""Models and pictures to results: classes, masks, pictures or numbers; and `cnnc eval`.

Takes a model file and pictures or a data set; returns a `Result` per picture, an `Evaluation` or a `MaskEvaluation`. A
model that cnnc did not build runs in a child process with a time limit. `cnnc infer` imports neither torch nor
networkx. Start with `predict.py`.
"""
