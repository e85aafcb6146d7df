"""Files on disk: opening them safely, writing them atomically, and the seals that detect damage.

Takes paths and bytes; raises CnncError for files that cannot be read, are damaged or cannot be written, and then leaves
the earlier files. Start with `write.py`.
"""
