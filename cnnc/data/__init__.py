"""Data sets and pictures.

Takes the name of a data set, or a path to a folder, `.npz`, IDX or CIFAR files; returns a `Data` with a training and a
test split. Files are untrusted: whatever cannot be read is E503, E504 or E508. Start with `load.py` for data sets, and
`pictures.py` for a single picture.
"""
