"""Faults that change nothing anybody could see, with the reason: the place, the line as it is, and as it would be."""

EQUIVALENT: tuple[tuple[str, str, str, str], ...] = (
    (
        "cnnc/targets/python_source.py",
        "return value[0] if name.endswith(PAIRS) and isinstance(value, tuple) and value == (value[0],) * 2 else value",
        "return value[1] if name.endswith(PAIRS) and isinstance(value, tuple) and value == (value[0],) * 2 else value",
        "it is done only where the two are equal",
    ),
    (
        "cnnc/targets/loaded_module.py",
        "return max(1, (os.cpu_count() or 1) // 2)",
        "return min(1, (os.cpu_count() or 1) // 2)",
        "a number of threads decides how long it takes, not what comes out",
    ),
    (
        "cnnc/verification/verify.py",
        "if self.folder:  # of a large network, whose values take memory and are not needed again",
        "if not (self.folder):  # of a large network, whose values take memory and are not needed again",
        "values that are freed early or late decide how much memory it takes, not what comes out",
    ),
    (
        "cnnc/verification/original.py",
        "step = max(1, -(-flat.numel() // SAMPLES))",
        "step = min(1, -(-flat.numel() // SAMPLES))",
        "how many elements are compared decides how long it takes, not what comes out",
    ),
    (
        "cnnc/ops/window.py",
        'ways = [f"`padding: {padding[0] if padding[0] == padding[1] else padding}`"] if None not in padding else []',
        'ways = [f"`padding: {padding[1] if padding[0] == padding[1] else padding}`"] if None not in padding else []',
        "it is done only where the two are equal",
    ),
    (
        "cnnc/verification/verify.py",
        "torch.live.forget_values()",
        "pass",
        "values that are freed early or late decide how much memory it takes, not what comes out",
    ),
    (
        "cnnc/analysis/size_questions.py",
        "return (first.space[0] or 0, first.space[1] or 0) if first.is_map else (0, 0)",
        "return (first.space[0] or 1, first.space[1] or 0) if first.is_map else (0, 0)",
        "the sizes of what takes inputs of known sizes are known, and at least 1",
    ),
    (
        "cnnc/causes/open_sizes.py",
        "most = max(map(known_elements, types))",
        "most = min(map(known_elements, types))",
        "a node with several outputs splits a value that has been found small enough",
    ),
    (
        "cnnc/causes/remedies.py",
        "ways = tried(numbers_per_channel(node, histories.ops), 2)",
        "ways = tried(numbers_per_channel(node, histories.ops), 3)",
        "no more than two of these changes can correct a fault: both reshape the only vector among the operands",
    ),
    (
        "cnnc/causes/insertions.py",
        "if found and len(found) == len(makers):",
        "if found or len(found) == len(makers):",
        "a change is tried before it is proposed, and one that leaves an input as it was corrects nothing",
    ),
)


def reason(path: str, before: str, after: str) -> str | None:
    """Why a fault changes nothing, where that is known."""
    return next((why for *fault, why in EQUIVALENT if fault == [path, before, after]), None)
