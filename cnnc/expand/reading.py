"""Reads the items of a scope, in the order of the file: which of them are present, and their names and inputs.

Takes items and their scope; yields `Unit`s, which the caller builds or lets wait. A `when`, a count, a list of `over`
or a name may use the sizes of nodes above it, so the caller binds each unit before the next one is read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from cnnc.diagnostics import Allow, CnncError, Code, Diagnostic, Fix, Write
from cnnc.expand.attached_activations import Act, read_acts
from cnnc.expand.blocks import Blocks
from cnnc.expand.limits import MAX_FRUITLESS, count_links, count_step
from cnnc.expand.parameters import by_instance, condition, evaluate, indices, named_by_round, rounds, takes_indices
from cnnc.expand.references import InputReference, not_yet_known, read_share, read_sources
from cnnc.expand.scope import FAILED, SILENT, Scope, fail
from cnnc.language.model import Item
from cnnc.language.validate import is_computed, show
from cnnc.text.value import Value


class Unit(NamedTuple):
    """An item with one name in its scope: a node, an instance of a block, a `group`, an `each`, or a `repeat` of one.

    `acts` are the activations after it, or after each of its instances; None if those cannot be counted yet. The item's
    `when` is None, unless it depends on nodes further down. `share` is the item whose parameters it shares, False if it
    shares none, and None if it shares what the scope around it shares.
    """

    item: Item
    scope: Scope
    name: str
    sources: Sequence[InputReference]
    acts: Sequence[Act | None] | None = ()
    share: InputReference | Literal[False] | None = None

    @property
    def path(self) -> str:
        return self.scope.path + self.name


class Passage(NamedTuple):
    """The last of these inputs is the input of the next item: those of a left-out item, or of an open `each`."""

    item: Item
    scope: Scope
    sources: Sequence[InputReference]


Step = Unit | Passage | None  # None for an item that cannot be read


class Reader:
    """Reads the items of scopes; `blocks` are the blocks that they may use."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def read(self, items: Iterable[Item], scope: Scope) -> Iterator[Step]:
        """Yield the units of a scope; each must be bound, if only to a `Pending`, before the next is requested."""
        scope.local.expect(*names_ahead(items, scope))
        yield from self._items(items, scope)
        scope.local.close()

    def _items(self, items: Iterable[Item], scope: Scope) -> Iterator[Step]:
        for item in items:
            count_step(item.span, scope)
            try:
                yield from self._units(item, scope)
            except CnncError as error:
                scope.report_all(error)
                self._lose(item, scope)
                yield None

    def _units(self, item: Item, scope: Scope) -> Iterator[Step]:
        if item.broken or not self.blocks.knows(item.op):
            raise SILENT
        if item.when is not None and not by_instance(item, item.when) and not _may_be_absent(item, scope):
            if not condition(item.when, scope):
                yield from self._leave(item, scope)
                return
            item = item._replace(when=None)
        is_open = item.op == "each" and (item.name is None or named_by_round(item))
        if item.repeat is not None and (is_open or by_instance(item, item.name)):
            if takes_indices(item, scope) and "0" in scope.local.given:
                item = item._replace(name=None)  # each instance has the next index
            for variables in indices(item, scope):
                inner = scope.with_variables(variables)
                yield from self._items([item._replace(repeat=None)], inner)
                item = item._replace(source=self._handed_on(item, inner))
        elif is_open:
            yield from self._rounds(item, scope)
        else:
            yield self._unit(item, scope)

    def _unit(self, item: Item, scope: Scope) -> Unit:
        span = item.name.span if item.name else item.span
        name = scope.local.claim(_name(item, scope), item.op, span, scope.report)
        share = None
        try:
            share = read_share(item, scope)
            if share and share.spelling == name:
                fail(Code.UNSHARABLE, f"`{name}` cannot share its own parameters", share.span, "name another node")
            sources = self._sources(item, scope)
        except CnncError as error:
            scope.report_all(error)
            share, sources = None, [InputReference("", "", item.span, FAILED)] * self.blocks.fewest_inputs(item)
        count_links(len(sources), item.span, scope)
        return Unit(item, scope, name, sources, read_acts(item, scope), share)

    def _rounds(self, item: Item, scope: Scope) -> Iterator[Step]:
        """Read an open `each`: its nodes are in the scope around it, or each round is a group with its own name."""
        assert item.body is not None
        if item.share is not None and item.name is None:
            message = "an `each` without a name cannot have `share`"
            fail(Code.UNSHARABLE, message, item.share, "give it a `name`, or put `share` on the nodes in it")
        body = item.body
        if item.name is not None:
            for variables in rounds(item, scope):
                count_step(item.span, scope)
                inner = scope.with_variables(variables)
                yield from self._items([item._replace(op="group")], inner)
                item = item._replace(source=self._handed_on(item, inner))
            return
        if item.source is not None:
            sources = self._sources(item, scope)
            if len(sources) > 1:
                way_out = "give it a `name`, `inputs` and `outputs`, or name inputs in the nodes in it"
                fail(
                    Code.WRONG_ARITY,
                    f"an `each` without a name takes one input, got {len(sources)}",
                    item.source,
                    way_out,
                )
            yield Passage(item, scope, sources)
        if item.allow:
            scope = scope._replace(allow=(*item.allow, *scope.allow))
        for variables in rounds(item, scope):
            count_step(item.span, scope)
            scope.local.rounds.append({})
            yield from self._items(body.items, scope.with_variables(variables))
            scope.local.rounds.pop()

    def _sources(self, item: Item, scope: Scope) -> list[InputReference]:
        """The inputs of an item; warns of those that are nodes of another round of an `each`."""
        found = read_sources(item, scope, is_op=self.blocks.is_op(item))
        for each in found if scope.local.rounds else ():
            if each.before is None and (own := scope.local.in_this_round(each.name)):
                scope.report(_of_another_round(each, own, (*item.allow, *scope.allow)))
        return found

    def _handed_on(self, item: Item, scope: Scope) -> Value | None:
        """The `from` of the next of several items with names of their own: None for the output of this one.

        A block with several inputs hands each on by the output of its name.
        """
        inputs = self.blocks.inputs(item)
        if len(inputs) < 2:
            return None
        assert item.name is not None
        name = evaluate(item.name, scope)
        return Value(tuple(Value(f"{name}.{port}", item.span) for port in inputs), item.span)

    def _leave(self, item: Item, scope: Scope) -> Iterator[Step]:
        """Leave out an item: its last input takes its place, also under its name."""
        if item.source is not None:
            yield Passage(item, scope, self._sources(item, scope))
        last = scope.local.last
        if item.name is None:
            scope.local.nameless.add(item.op)
        elif last is not None:
            try:
                name = _evaluated_name(item, scope)
            except CnncError:
                return  # errors in a left-out node are ignored
            if isinstance(name, str):
                scope.local.leave(name, last)

    def _lose(self, item: Item, scope: Scope) -> None:
        """Bind the names of an item that cannot be read, so that references to them are not errors."""
        names = scope.local
        if item.op == "each" and item.name is None and item.body is not None:
            for each in item.body.items:
                self._lose(each, scope)
            names.lost = True
        elif item.name is not None and isinstance(item.name.data, str) and "$" not in item.name.data:
            names.lose(item.name.data, item.span)
        elif item.name is None and item.op:
            op = item.op if self.blocks.knows(item.op) else self.blocks.meant(item.op)
            names.bind(names.claim(None, op, item.span, lambda _: None), FAILED)
        else:
            names.lost = True
        names.last = FAILED


def _of_another_round(source: InputReference, own: str, allows: tuple[Allow, ...]) -> Diagnostic:
    """W309 for an input whose default name is that of another round; `own` is the name in this round."""
    message = f"`{source.name}` is the node of another round; in this round its name is `{own}`"
    op = re.sub(r"_\d+$", "", source.name)
    way_out = f"give the node a name of its own in each round, for example `name: {op}_$i`, and write `{op}_$i` here"
    return Diagnostic(Code.OTHER_ROUND, message, source.span, help=way_out, allows=allows)


def _may_be_absent(item: Item, scope: Scope) -> bool:
    """Whether the `when` of an item depends on nodes further down; only for items with a name."""
    if item.when is None or item.repeat is not None or item.name is None or scope.local.by_index:
        return False
    return any(True for _ in not_yet_known(item.when, scope))


def _name(item: Item, scope: Scope) -> str | None:
    """The name of an item; None if it has none, or an invalid one that is not a string."""
    given = _evaluated_name(item, scope)
    if given is None or isinstance(given, str):
        return given
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    way_out = f'put it in quotes: "{given}"' if is_number else "for example `name: conv1`"
    span = item.name.span if item.name else item.span
    fix = Fix((Write(span, str(given)),), certain=isinstance(given, int)) if is_number and item.name else None
    message = f"a name must be a string, got {show(given)}"
    scope.report(Diagnostic(Code.BAD_NAME, message, span, help=way_out, fix=None if is_computed(span) else fix))
    return str(given) if isinstance(given, int) and is_number and str(given) not in scope.local.given else None


def _evaluated_name(item: Item, scope: Scope) -> Any:
    """The value of `name`; an integer that an expression gives, as in `name: $i`, is its digits."""
    if item.name is None:
        return None
    given = evaluate(item.name, scope)
    is_index = isinstance(item.name.data, str) and isinstance(given, int) and not isinstance(given, bool)
    return str(given) if is_index else given


# -- the names further down


def names_ahead(items: Iterable[Item], scope: Scope) -> tuple[frozenset[str], Counter[str]]:
    """The explicit names of items that are present as far as is known, and how many items have each explicit name.

    Default names avoid the former in the whole scope, and a `from` waits for a name that is further down.
    """
    reserved: set[str] = set()
    ahead: Counter[str] = Counter()
    room = MAX_FRUITLESS  # if it is used up, the expansion stops as well
    for name, there in _given(items, scope):
        room += 1 if there else -1
        if name:
            ahead[name] += 1
        if there:
            reserved.add(name)
        if not room:
            break
    return frozenset(reserved), ahead


def _given(items: Iterable[Item], scope: Scope) -> Iterator[tuple[str, bool]]:
    """Yield each name, and whether its item is present as far as is known; yields "" once per item."""
    for at, item in enumerate(items):
        if _gives_names(item) and not (at and takes_indices(item, scope)):
            yield "", False
            try:
                yield from _given_by(item, scope)
            except CnncError:
                continue  # reported when the item is expanded


def _given_by(item: Item, scope: Scope) -> Iterator[tuple[str, bool]]:
    there = item.when is None or by_instance(item, item.when) or _is_there(item, scope)
    if item.op == "each" and item.name is None:
        if there and item.body is not None:
            for variables in rounds(item, scope):
                yield from _given(item.body.items, scope.with_variables(variables))
        return
    scopes = [scope]
    if there and item.op == "each" and named_by_round(item):
        scopes = [scope.with_variables(variables) for variables in rounds(item, scope)]
    elif there and by_instance(item, item.name):
        scopes = [scope.with_variables(variables) for variables in indices(item, scope)]
    for inner in scopes:
        name = _evaluated_name(item, inner)
        if isinstance(name, str):
            yield name, there


def _is_there(item: Item, scope: Scope) -> bool:
    """The value of `when`; true if it cannot be evaluated from parameters and inputs alone."""
    assert item.when is not None
    try:
        return condition(item.when, scope)
    except CnncError:
        return True


def _gives_names(item: Item) -> bool:
    if item.op == "each" and item.name is None:
        return item.body is not None and any(map(_gives_names, item.body.items))
    return item.name is not None
