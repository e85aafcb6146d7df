"""Training: a graph, a recipe and data to weights.

Takes a proved graph and writes checkpoints, weights and curves to `OUT/NAME/`. A run that is killed resumes with the
same results. With several devices, each has a process that runs this code. Start with `run.py`, then `loop.py`;
`monitor/` shows the progress.
"""
