"""The table that `cnnc check` prints, with its footnotes; in a terminal at most 120 columns wide if shapes allow.

Takes a proved graph and returns text. By default it shows each node's inputs, output, parameters and MACs; `wide` adds
its memory and receptive field, which are computed only then.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnc.analysis.check_report import Order, Row, rows
from cnnc.analysis.cost import Totals, totals
from cnnc.columns import end, left, start, widest
from cnnc.diagnostics import listed
from cnnc.graph.graph import Graph

if TYPE_CHECKING:
    from fractions import Fraction

    from cnnc.analysis.receptive_field import Field, Side

WIDTH = 120
LONGEST = 48  # columns for a node's name, for its inputs and for its outputs
SHORTEST = {2: 10, 0: 10, 3: 20}  # columns that are left of the inputs, the name and the outputs, clipped in this order
HEAD = ("node", "op", "inputs", "output", "params", "MACs")
MORE = ("kB", "field", "stride", "offset")
LAYERS = ("conv", "linear", "conv_transpose")  # the footnote names two; matrix products are named if there are any
TEXTS = 4  # number of text columns, which precede the numbers


def table(
    graph: Graph,
    depth: int | None = None,
    *,
    sort: Order | None = None,
    wide: bool = False,
    batch: int | None = None,
    whole: bool = False,
) -> str:
    """Return the table with totals and footnotes; memory is for a batch of `batch` samples, by default 1.

    `whole`: the table may be wider, so that no path is clipped.
    """
    sums, fields = totals(graph), _fields(graph) if wide else {}
    cells = [HEAD + MORE * wide]
    cells += [_cells(row) + (_more(row, fields, batch or 1) if wide else ()) for row in rows(graph, depth, sort)]
    last = ("total", "", "", "", _number(sums.params), _number(sums.macs), *("",) * (len(MORE) * wide))
    body = _fitted([*cells, last], whole=whole)
    rule = "─" * widest(body)
    notes = [_footnote(graph, sums, batch or 1)]
    if wide or batch is not None:
        notes += _costs(graph, sums, batch or 1)
    if wide or any(not each.type.known for each in graph.inputs):
        notes += _sizes(graph)
    return "\n".join([body[0], rule, *body[1:-1], rule, body[-1], *notes])


def _fields(graph: Graph) -> "dict[str, Field]":
    from cnnc.analysis.receptive_field import receptive_fields

    return receptive_fields(graph)


def _cells(row: Row) -> tuple[str, ...]:
    params = "shared" if row.shares and not row.params else _number(row.params)
    return row.path, row.op, row.inputs, row.shape, params, _number(row.macs)


def _more(row: Row, fields: "dict[str, Field]", batch: int) -> tuple[str, ...]:
    size = "?" if row.memory is None else f"{row.memory * batch / 1e3:,.1f}"
    field = fields.get(row.last)
    if field is None:
        return size, "", "", ""
    sides = field.height, field.width
    stride = ["" if side.size is None else _spell(side.stride) for side in sides]
    offset = ["" if side.whole else "?" if side.offset is None else str(side.offset) for side in sides]
    return size, _pair(map(_size, sides), "×"), _pair(stride, "×"), _pair(offset, ",")


def _size(side: "Side") -> str:
    return "all" if side.whole else "?" if side.size is None else str(side.size)


def _spell(stride: "Fraction | None") -> str:
    return "" if stride is None else str(stride)


def _pair(sides: Iterable[str], between: str) -> str:
    height, width = sides
    return height if height == width else f"{height}{between}{width}"


def _fitted(cells: Sequence[tuple[str, ...]], *, whole: bool) -> list[str]:
    """Return the lines; if they are too wide, clip the inputs, then the names, then long lists of outputs.

    `whole`: clip only long lists.
    """
    columns = [*zip(*cells, strict=True)]
    widths = [widest(column) for column in columns]
    for column, shortest in SHORTEST.items():
        if whole:
            single = widest(cell for cell in columns[column] if ", " not in cell)
            widths[column] = min(widths[column], max(LONGEST, single))
            continue
        over = sum(widths) + 2 * (len(widths) - 1) - WIDTH
        widths[column] = min(widths[column], LONGEST, max(shortest, widths[column] - max(0, over)))
    return [_line(line, widths) for line in cells]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    texts = [left(_clip(cell, width), width) for cell, width in zip(cells[:TEXTS], widths[:TEXTS], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[TEXTS:], widths[TEXTS:], strict=True)]
    return "  ".join([*texts, *numbers]).rstrip()


def _footnote(graph: Graph, sums: Totals, batch: int) -> str:
    running = f" and {sums.buffers:,} running statistics" if sums.buffers else ""
    alive = None if sums.activation_bytes is None else sums.activation_bytes * batch
    activations = f"activations {_megabytes(alive)} at batch {batch} in float32"
    counted = dict.fromkeys([*LAYERS[:2], *(node.op.name for node in graph.nodes if node.cost.macs != 0)])
    ops = listed([name for name in counted if name not in LAYERS[2:]])
    return f"{sums.params:,} parameters{running}; {activations}; MACs: {ops} multiply-adds"


def _costs(graph: Graph, sums: Totals, batch: int) -> list[str]:
    """Return the footnotes on FLOPs and on the memory for inference and training."""
    from cnnc.analysis.memory import memory

    needs = memory(graph, batch)
    flops = "?" if sums.macs is None else f"{2 * sums.macs:,}"
    return [
        f"{flops} FLOPs per sample, 2 per MAC",
        f"inference at batch {batch}: {_megabytes(needs.inference)}, including {_megabytes(needs.weights)} of weights",
        f"training at batch {batch}: about {_megabytes(needs.training)}, including {_megabytes(needs.kept)} for the "
        f"backward pass and {_megabytes(needs.gradients + needs.optimizer)} for gradients and optimizer state",
    ]


def _sizes(graph: Graph) -> list[str]:
    from cnnc.analysis.accepted_sizes import size_rules

    note = str(size_rules(graph))
    height, width = size_rules(graph).smallest
    if not note and height and width:
        note = f"smallest input that would work: {height}×{width}"
    return [note] if note else []


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:,.2f} MB"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else ""


def _clip(text: str, width: int) -> str:
    """Clip the end of a list, or the start of a path, whose end is more specific."""
    return start(text, width) if ", " in text else end(text, width)
