"""ONNX files that cnnc makes of its own specs, imported again and compared by torch."""

import numpy as np
import torch

from cnnc.compiler import load
from cnnc.importing.importer import read
from cnnc.importing.proof import compiled
from cnnc.targets import onnx_model, sample_inputs, torch_module
from cnnc.verification.verify import arrays


def written(graph, path, opset=20, passes=False):
    """Write the graph with random weights as ONNX, and return its torch module."""
    module = torch_module.lower(graph).eval()
    with torch.no_grad():
        for each in module.parameters():
            each.add_(torch.randn_like(each) * 0.1)
        for name, each in module.named_buffers():
            if each.is_floating_point():
                each.uniform_(0.5, 1.5)
    path.write_bytes(onnx_model.lower(graph, arrays(module.state_dict()), opset).SerializeToString())
    return module


def difference(graph, path, opset=20):
    """Write, import and run a graph; return the largest relative difference of an output, and the import."""
    module = written(graph, path, opset)
    imported = read(path)
    back = load(imported.spec)
    other = compiled(back, imported.weights)
    worst = 0.0
    assert [each.name for each in back.outputs] == [each.name for each in graph.outputs]
    for batch in (1, 3):
        inputs = [each.abs() + 0.1 for each in sample_inputs.draw(graph, batch, sample_inputs.spaces(graph)[0], batch)]
        with torch.inference_mode():
            wanted, found = module(*inputs), other(*inputs)
        many = lambda x: x if isinstance(x, tuple) else (x,)
        for a, b in zip(many(wanted), many(found), strict=True):
            assert a.shape == b.shape
            worst = max(worst, float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)))
    assert np.isfinite(worst)
    return worst, imported
