"""Reads `act`: an activation after a conv or linear, which becomes a separate node in the same scope.

Takes an item; returns the activations after it, or after each of its instances. Their default names follow the order of
the file, even if the item itself has to wait.
"""

from typing import NamedTuple

from cnnc.diagnostics import Advice, CnncError, Code, Diagnostic, Fix, Span, Write
from cnnc.diagnostics.suggestions import nearest
from cnnc.expand.parameters import evaluate, instances
from cnnc.expand.scope import Scope
from cnnc.expressions.strings import as_expression
from cnnc.language.model import Item
from cnnc.language.validate import NOTHING, activation_advice, is_computed, show, with_dollar
from cnnc.ops import registry
from cnnc.ops.activation_names import ACTIVATIONS
from cnnc.text.value import Value


class Act(NamedTuple):
    """An activation; `op` is None if it could not be read."""

    name: str
    op: str | None
    span: Span


def read_acts(item: Item, scope: Scope) -> list[Act | None] | None:
    """The activation of an item, or of each instance of a repeated item; None for an instance without one.

    Returns None if there are activations, but the instances cannot be counted before nodes further down are built.
    """
    assert isinstance(item.attributes.data, dict)
    act = item.attributes.data.get("act") if registry.takes_act(item.op) else None
    if act is None or act.data is None:
        return []
    try:
        scopes = [scope] if item.repeat is None else instances(item, scope)
    except CnncError:
        return None  # reported when the instances are built
    return [_read(item.op, act, inner) for inner in scopes]


def _advice(kind: object, at: Span, scope: Scope) -> Advice:
    """The advice for an unknown activation: a word for none, a parameter without its dollar sign, or a similar name."""
    if kind is False or (isinstance(kind, str) and kind.lower() in NOTHING):
        return Advice("remove it, or write `act: null`", Fix((Write(at, None),), certain=True))
    written = as_expression(kind, scope.knows) if isinstance(kind, str) else None
    return with_dollar(written, at, "act: ") if written else activation_advice(str(kind), at)


def _read(op: str, act: Value, scope: Scope) -> Act | None:
    try:
        kind = evaluate(act, scope)
    except CnncError as error:
        scope.report_all(error)
        return Act(scope.local.claim(None, "act", act.span, scope.report), None, act.span)
    if kind is None:
        return None
    known = kind if isinstance(kind, str) and kind in ACTIVATIONS else None
    if known is None:
        message = f"`act` of `{op}` must be the name of an activation, got {show(kind)}"
        help, fix = _advice(kind, act.span, scope)
        fix = None if is_computed(act.span) else fix
        scope.report(Diagnostic(Code.BAD_ATTRIBUTE, message, act.span, help=help, fix=fix))
    name = known or nearest(str(kind), ACTIVATIONS) or "act"
    return Act(scope.local.claim(None, name, act.span, scope.report), known, act.span)
