"""Renders the SVG of a picture as PNG, with resvg and the font that lies beside this file.

Takes the text of an SVG; returns the bytes of a PNG, with two pixels for each unit of the SVG, or fewer if the picture
would be too large for most programs. Needs the extra `draw`; neither a browser nor a font of the system.
"""

import re
from importlib.resources import as_file, files

from cnnc.diagnostics.missing_packages import require

ZOOM = 2.0
MOST = 16_000  # pixels along a side


def png(svg: str) -> bytes:
    """Return the picture as PNG; raises E513 if the extra `draw` is not installed."""
    require(["resvg_py"], "drawing a PNG")
    from resvg_py import svg_to_bytes

    sides = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    assert sides is not None
    zoom = min(ZOOM, MOST / max(float(side) for side in sides.groups()))
    with as_file(files("cnnc.drawing").joinpath("Arimo.ttf")) as font:
        data: bytes = svg_to_bytes(svg_string=svg, zoom=zoom, font_files=[str(font)], font_family="Arimo")
    return data
