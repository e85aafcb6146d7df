"""Checks names in specs against the rules of all targets.

The rules do not depend on the target, so that a spec that passes the check can be built for any target later.
"""

import keyword
import re
from pathlib import PurePath

from cnnc.diagnostics import Code, Diagnostic, Report, Source, Span
from cnnc.diagnostics.suggestions import mistyped
from cnnc.expressions import grammar
from cnnc.language.validate import show
from cnnc.text.value import Value

COUNTERS = dict(zip(grammar.COUNTERS, ("index of the round", "number of rounds"), strict=True))
LONGEST = 64
PATTERN = re.compile(r"[A-Za-z0-9_]+")
OF_A_NODE = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")  # not of values in expressions, where a hyphen subtracts
FILE_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

# The attributes of torch.nn.Module and of torch.fx.GraphModule, which a submodule would hide. Listed here because
# a check does not import torch; a test compares the list with torch.
RESERVED = frozenset(
    """
    T_destination _apply _backward_hooks _backward_pre_hooks _boxed_call _buffers _call_impl _code
    _compiled_call_impl _create_node_hooks _deepcopy_hooks _deepcopy_init _erase_node_hooks _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _graph _is_full_backward_hook _lineno_map
    _load_from_state_dict _load_state_dict_post_hooks _load_state_dict_pre_hooks
    _maybe_warn_non_full_backward_hook _modules _named_members _non_persistent_buffers_set _parameters
    _prologue_start _recompile_submodules _register_create_node_hook _register_deepcopy_hook
    _register_erase_node_hook _register_load_state_dict_pre_hook _register_replace_node_hook
    _register_state_dict_hook _replace_hooks _replicate_for_data_parallel _save_to_state_dict _set_replace_hook
    _slow_forward _state_dict_hooks _state_dict_pre_hooks _tracer_cls _tracer_extras
    _unregister_create_node_hook _unregister_deepcopy_hook _unregister_erase_node_hook
    _unregister_replace_node_hook _version _wrapped_call _wrapped_call_impl add_module add_submodule apply
    bfloat16 buffers call_super_init children code compile cpu cuda delete_all_unused_submodules
    delete_submodule double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule graph half ipu load_state_dict meta modules mtia named_buffers named_children named_modules
    named_parameters parameters print_readable recompile register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule
    shape_env share_memory state_dict to to_empty to_folder train training type xpu zero_grad
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)

TORCHSCRIPT = frozenset({"Ellipsis", "NoneType", "torch"})  # reserved in TorchScript source

CONSTANTS = frozenset({"true", "false", "null"})  # of expressions
IN_OVER = "a value in `over`"

TAKEN = {  # a module's attributes are its nodes; targets use no names of blocks and parameters
    **dict.fromkeys(("a block", "an input", "an output"), frozenset()),
    **dict.fromkeys(("a parameter", IN_OVER), CONSTANTS),
    "a node": RESERVED | TORCHSCRIPT | {"self"},  # the first argument of `forward`, where the values are variables
}


def numbered(name: str, count: int) -> str:
    """Return a name with a number at its end, or as it is for 1; shortened so that it is no longer than allowed."""
    end = f"_{count}" if count > 1 else ""
    return f"{name[: LONGEST - len(end)]}{end}"


def check_name(name: str, span: Span, report: Report, what: str = "a node") -> bool:
    """Whether `name` is valid; reports the error if not."""
    if not (OF_A_NODE if what == "a node" else PATTERN).fullmatch(name):
        hint = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:LONGEST]
        message, help = f"{show(name)} cannot be the name of {what}", "use only letters A–Z a–z, digits and _"
        help = mistyped(name) or (f"{help}: `{hint}`" if hint else help)
    elif len(name) > LONGEST:
        message, help = f"the name {show(name)} has {len(name)} characters; at most {LONGEST} are allowed", "shorten it"
    elif keyword.iskeyword(name) or name.startswith("__") or name in TAKEN[what]:
        owner = "a keyword of Python" if keyword.iskeyword(name) else "an attribute of torch modules"
        owner = "reserved for Python" if name.startswith("__") or name == "self" else owner
        owner = "a word of TorchScript" if name in TORCHSCRIPT else owner
        owner = "a constant in expressions" if name in CONSTANTS else owner
        message, help = (
            f"`{name}` cannot be the name of {what}: it is {owner}",
            f"rename it, for example to `{name.strip('_')}_1`",
        )
    else:
        return True
    report(Diagnostic(Code.BAD_NAME, message, span, help=help))
    return False


def file_name(source: Source, given: str | None, root: Value, report: Report) -> str:
    """The name of the network: `name` in the spec, or the file's name without its suffix."""
    name = given if given is not None else PurePath(source.name).stem
    if FILE_PATTERN.fullmatch(name) and len(name) <= LONGEST:
        return name
    if given is None:
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:LONGEST] or "network"
    report(
        Diagnostic(
            Code.BAD_NAME,
            f"{show(name)} cannot be the name of a network, which names its files",
            root.at("name").span,
            help=f"use up to {LONGEST} letters, digits, `_`, `-` and `.`, and begin with none of `.` and `-`",
        )
    )
    return "network"
