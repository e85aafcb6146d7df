"""The part of Triton's `ModelConfig` that cnnc writes, as message classes of protobuf.

The names, numbers and types of the fields are those of the published schema, version 2.73 of tritonclient:
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
If tritonclient is installed, the whole schema is taken from it.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

INT32, INT64, STRING, MESSAGE, ENUM = 5, 3, 9, 11, 14  # of descriptor.proto's FieldDescriptorProto.Type
ENUMS = {
    "DataType": [
        *("TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64", "TYPE_INT8"),
        *("TYPE_INT16", "TYPE_INT32", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING", "TYPE_BF16"),
    ],
    "Format": ["FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"],  # inside of ModelInput, where its place does not matter
}
MESSAGES = {  # name: number, type, and for others than numbers and texts the name of their type; `*` is repeated
    "ModelInput": {
        "name": (1, STRING),
        "data_type": (2, ENUM, "DataType"),
        "format": (3, ENUM, "Format"),
        "dims*": (4, INT64),
    },
    "ModelOutput": {
        "name": (1, STRING),
        "data_type": (2, ENUM, "DataType"),
        "dims*": (3, INT64),
        "label_filename": (4, STRING),
    },
    "ModelDynamicBatching": {"preferred_batch_size*": (1, INT32)},
    "ModelConfig": {
        "name": (1, STRING),
        "platform": (2, STRING),
        "max_batch_size": (4, INT32),
        "input*": (5, MESSAGE, "ModelInput"),
        "output*": (6, MESSAGE, "ModelOutput"),
        "default_model_filename": (8, STRING),
        "dynamic_batching": (11, MESSAGE, "ModelDynamicBatching"),
        "backend": (17, STRING),
    },
}


def model_config():
    """The class of ModelConfig."""
    if (found := find_spec("tritonclient")) is not None:
        path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"  # its package wants grpc
        spec = spec_from_file_location("model_config_pb2", path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.ModelConfig
    file = descriptor_pb2.FileDescriptorProto(name="part_of_model_config.proto", package="part", syntax="proto3")
    for name, words in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, word in enumerate(words):
            enum.value.add(name=word, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, type, *named) in fields.items():
            about = {"type_name": f".part.{named[0]}"} if named else {}
            label = 3 if field.endswith("*") else 1
            message.field.add(name=field.rstrip("*"), number=number, type=type, label=label, **about)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("part.ModelConfig"))
