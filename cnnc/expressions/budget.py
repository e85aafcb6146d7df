"""How much one check may compute, in counts and not in seconds, so that it is the same on every machine.

Each name, value, operator and function of an expression counts one whenever the expression is evaluated, and so does
each element of a list that is made, compared, searched or handed on, and each parameter that an instance is given. What
bounds a single value cannot bound the sum of them all.
"""

from dataclasses import dataclass, field

from cnnc.diagnostics import Code, Diagnostic, Span

MAX_OPERATIONS = 3_000_000


class OutOfWork(Exception):
    """The expressions of a check have taken all that they may: what follows is not looked at.

    No CnncError, which would be one expression's own. `span` is where it ran out, once that is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.span: Span | None = None

    def told(self) -> Diagnostic:
        message = f"evaluating the values of this spec takes more than {MAX_OPERATIONS:,} element operations"
        way_out = "repeat less often, make shorter lists, or compute a value once in `params` and use it by name"
        return Diagnostic(Code.FAILED_EXPRESSION, message, self.span, help=way_out)


@dataclass(slots=True)
class Work:
    """What is left of the operations of one check, and what its nodes add up to, those of unused blocks among them."""

    left: int = field(default_factory=lambda: MAX_OPERATIONS)
    steps: int = 0  # of the expansion
    nodes: int = 0  # with those that failed
    links: int = 0  # inputs and outputs

    def spend(self, operations: int) -> None:
        """Take so many operations; raises OutOfWork where there are not so many left."""
        self.left -= operations
        if self.left < 0:
            raise OutOfWork
