"""Expansion: turns a `Spec` into a `Graph` of nodes whose shapes are proved. `prove` is the way in.

Every list of nodes is expanded in a scope of its own (`scope`): that of the network, of an instance of a block, of a
`group`, or of a round of an `each`. A scope goes through four stages, each with a type of its own:

1. Look ahead (`reading.names_ahead`): `Item`s → the explicit names in the scope. Default names avoid these, and a
   reference to a name that is further down is not taken for one to a left-out node of that name.
2. Read (`reading.Reader`): `Item`s → `Unit`s, in the order of the file. Reading decides which items are present, counts
   the rounds of an `each`, and settles names and inputs. It may use the sizes of nodes above the item, never of those
   below it. A left-out item becomes a `Passage` of its last input to the item after it.
3. Order (`order.in_order`): a unit that uses a node from further down (in `from` or `share`, in an attribute, in the
   count of its `repeat`, or in the `when` of a named item) is bound to a `Pending`. After the whole scope has been
   read, the pending units are put in order, inputs before their users; cycles are errors. Names never wait.
4. Build (`expander.Expander`): `Unit` → `Bound`, once all its inputs are known. An op becomes a node (`infer_node`). A
   block, a group or a round of an `each` opens a scope, which goes through all stages before the unit is bound; so do
   the instances of a `repeat`, one after the other. So the nodes of a unit are contiguous, and no scope waits for a
   node in another. Whatever fails is bound to unknown outputs, which silence its users.

For example, in

    input: {image: [3, 32, 32]}
    blocks:
      unit:
        params: {out: null}
        nodes:
          - conv: {out: $out, kernel: 3, padding: 1, act: relu}
          - group: {name: side, from: input, nodes: [{conv: {out: $out, kernel: 1}}]}
          - add: {from: [conv, side]}
    nodes:
      - unit: {name: stage, repeat: 2, out: $(late.channels), from: late}
      - relu
      - conv: {name: late, from: image, out: 8, kernel: 1}
    outputs: relu

the explicit names of the network are `stage` and `late`. `stage` waits for `late`, `relu` waits for `stage`, and `late`
is built as soon as it has been read. Then `stage` and `relu` are built, in this order. `stage` opens the scope
`stage.0` with `late` as its input and 8 as `out`, then `stage.1` with the output of `stage.0`. In each, all units are
built as they are read, and `side` opens a scope again. The nodes are: late, stage.0.conv, stage.0.relu,
stage.0.side.conv, stage.0.add, stage.1.conv, stage.1.relu, stage.1.side.conv, stage.1.add, relu.

Stages 2 and 4 alternate: a unit whose inputs are known is built before the next item is read. They cannot be separate
passes, because whether an item is present, how often, and under which name may depend on the shapes of nodes above it
(`when: $(conv.channels != out)`), and its presence decides the default names and default inputs of all items after it.
Inferring nodes on demand, when an expression reads their sizes, would change the order of nodes and of errors.
"""
