"""What of a request may be logged: everything but secrets.

Fields marked csi_secret in the schema are hidden, so no handler can leak. Volume contexts and mount
flags are no secrets by the CSI specification, and operators need them; but kubelet puts tokens of
service accounts into the one, and users access keys into the other: what is named so is hidden.
"""

import functools
import re

from google.protobuf import descriptor
from google.protobuf import message as pb_message

from csi._pb import csi_pb2

_HIDDEN = "***"
_IDS = ("name", "volume_id", "source_volume_id", "snapshot_id", "group_snapshot_id")
_ID_MAX = 256
"""Characters of an id on each line; who sends longer ones sends nonsense, which is refused."""
_MADE = ("volume", "snapshot", "group_snapshot")
"""Where answers have what was made."""
_WORD = "(?:secret|passw|token|access_?key|ak_?id)"
_SECRET_WORD = re.compile(_WORD, re.IGNORECASE)
_SECRET_PAIR = re.compile(rf"(?<![\w./-])(?=[\w./-]*?{_WORD})([\w./-]++)=[^,\s]*", re.IGNORECASE)
"""A name with such a word in it, and its value. A request is logged before it is checked, so this
must be quick for any text: a name is tried where it begins, and nowhere inside."""


@functools.cache
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
            told[field.name] = (
                [_shown(item) for item in value] if field.is_repeated else _shown(value)
            )
        elif field.message_type.GetOptions().map_entry:
            told[field.name] = {
                key: _HIDDEN if _SECRET_WORD.search(key) else _shown(text)
                for key, text in value.items()
            }
        elif field.is_repeated:
            told[field.name] = [loggable(item) for item in value]
        else:
            told[field.name] = loggable(value)
    return told


def subject(message: pb_message.Message) -> dict[str, str]:
    """The ids of what *message*, a request or an answer, is about; a new thing has but a name.

    So one search for a volume, by id or by the name of its PersistentVolume, finds its whole life.
    """
    told = {}
    for part in (message, *(getattr(message, name, None) for name in _MADE)):
        for key in _IDS:
            value = getattr(part, key, None)
            if isinstance(value, str) and value:
                told[key] = str(_shown(value[:_ID_MAX]))
    return told


def _shown(value: object) -> object:
    """*value*, what is given to secret names in it hidden."""
    if not isinstance(value, str) or "=" not in value:
        return value
    return _SECRET_PAIR.sub(rf"\1={_HIDDEN}", value)
