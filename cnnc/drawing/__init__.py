"""Pictures of networks: SVG, PNG, an HTML page, Graphviz and Mermaid; `cnnc draw` and `cnnc diff --html`.

The stages, one file each: a graph becomes a `Sketch` (`sketch.py`: nodes with their labels and facts), that becomes a
`Scene` (`scene.py`: nested boxes and edges), `layout.py` places its boxes, and a renderer writes the file. Start with
`renderers.py`, the table of formats.
"""
