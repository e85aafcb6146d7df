"""Limits the work of one check, counted in operations and not in seconds, so that it is the same on every machine.

Each name, value, operator and function of an expression counts as one operation whenever the expression is evaluated,
and so does each element of a list that is created, compared, searched or passed on, and each parameter of an instance.
This limits the total, which limits on single values cannot do.
"""

from cnnc.diagnostics import Code, Diagnostic, Span

MAX_OPERATIONS = 3_000_000


class OutOfWork(Exception):
    """The operations of a check are used up; the rest is not evaluated.

    Not a CnncError, because those are errors of a single expression. `span` is the expression that ran out, once known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.span: Span | None = None

    def diagnostic(self) -> Diagnostic:
        message = f"evaluating the values of this spec takes more than {MAX_OPERATIONS:,} element operations"
        way_out = "repeat less often, make shorter lists, or compute a value once in `params` and use it by name"
        return Diagnostic(Code.FAILED_EXPRESSION, message, self.span, help=way_out)


class Work:
    """The remaining operations of one check, and its counts of nodes and links, including those of unused blocks."""

    def __init__(self, left: int | None = None) -> None:
        self.left = MAX_OPERATIONS if left is None else left
        self.steps = 0  # of the expansion
        self.nodes = 0  # with those that failed
        self.links = 0  # inputs and outputs

    def spend(self, operations: int) -> None:
        """Use up operations; raises OutOfWork if too few are left."""
        self.left -= operations
        if self.left < 0:
            raise OutOfWork
