"""What of a request may be logged: everything but fields marked csi_secret in the schema.

The schema decides, so no handler can leak. Values of volume_context and mount flags are shown:
they are no secrets by the CSI specification, and operators need them.
"""

from google.protobuf import descriptor
from google.protobuf import message as pb_message

from csi._pb import csi_pb2

_HIDDEN = "***"


def _is_secret(field: descriptor.FieldDescriptor) -> bool:
    marked: bool = field.GetOptions().Extensions[csi_pb2.csi_secret]  # type: ignore[index]  # the stubs cannot tell an extension of FieldOptions
    return marked


def loggable(message: pb_message.Message) -> dict[str, object]:
    """Fields of *message* that are set, as plain values, with secrets replaced by `***`."""
    told: dict[str, object] = {}
    for field, value in message.ListFields():
        if _is_secret(field):
            told[field.name] = _HIDDEN
        elif field.message_type is None:
            told[field.name] = list(value) if field.is_repeated else value
        elif field.message_type.GetOptions().map_entry:
            told[field.name] = dict(value)
        elif field.is_repeated:
            told[field.name] = [loggable(item) for item in value]
        else:
            told[field.name] = loggable(value)
    return told
