"""The language server of `cnnc lsp`: specs in an editor, with shapes and diagnostics while the user types.

Takes the texts of open files and positions in them; returns the types of the Language Server Protocol. Start with
`handlers.py`, which has a function for each request, then `analysis.py`, the result of a check that all features share.
"""
