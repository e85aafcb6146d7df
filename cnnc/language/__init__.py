"""The language of specs: values to a typed `Spec`.

Takes the values of a file with their places; returns a `Spec`, or reports keys, names and values that are wrong, also
the words of other frameworks. Start with `parse.py`; the types are in `model.py` and `nodes.py`.
"""
