"""Why shapes do not fit, and which changes of the spec would mend that.

Takes a partly proved graph and its diagnostics; returns the same diagnostics with notes and helps. Every change that a
help proposes has been tried: the spec is proved again with it. Imported only if a check has found an error. Start with
`shape_causes.py`.
"""
