"""A network back to a spec that a person can read: `flat` lists its nodes, `structured` finds its blocks again.

Takes a proved `Graph`, or a flat spec with the paths of its nodes; returns plain specs, the mappings that a YAML spec
loads to. What is returned has been compiled and compared with the network that it was made from.
"""
