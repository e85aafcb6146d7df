"""HTML pages that are one file each and work offline.

Takes the title, the body, and the style, script and data of a page; returns the whole page as text. What all pages
share is here: colours for light and dark, type, tables, and the button that switches between light and dark. Start with
`page.py`.
"""
