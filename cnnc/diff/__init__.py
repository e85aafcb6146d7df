"""What differs between two networks.

Takes two proved graphs; returns the nodes that were added, removed and changed, and the change in cost, as text, JSON
or Markdown. Start with `changes.py`.
"""
