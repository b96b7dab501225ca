"""The compiled CSI descriptors and the schema facts in csi-schema.txt say the same.

Both sides become blocks: a heading, such as `message Volume`, and its lines. Comparing the blocks
finds what is missing and what is extra. The order of fields and RPCs is not part of the wire.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf import message as pb_message

from csi._pb import csi_pb2

Blocks = dict[str, list[str]]

GOLDEN = pathlib.Path(__file__).with_name("csi-schema.txt")
PACKAGE = ".csi.v1."
_FIELD = descriptor_pb2.FieldDescriptorProto


def test_compiled_descriptors_equal_the_schema_file() -> None:
    compiled, written = compiled_blocks(), read_blocks(GOLDEN.read_text(encoding="utf-8"))

    assert sorted(compiled) == sorted(written)
    assert compiled == written


def test_package_is_part_of_every_rpc_path() -> None:
    assert csi_pb2.DESCRIPTOR.package == "csi.v1"


def test_presence_of_scalars_cannot_be_told() -> None:
    optional = [f.name for m in all_messages() for f in m.field if f.proto3_optional]

    assert optional == []


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        pytest.param("2 volume_id: string\n", "", id="field-missing"),
        pytest.param("1 name: string\n", "1 name: string\n  9 extra: bool\n", id="field-extra"),
        pytest.param("4 readonly: bool", "4 readonly: int32", id="type"),
        pytest.param("map<string,string> [secret]", "map<string,string>", id="secret"),
        pytest.param("ONLINE=1", "ONLINE=3", id="enum-number"),
        pytest.param("-> stream ", "-> ", id="streaming"),
        pytest.param(" oneof access_type", "", id="oneof"),
        pytest.param("service SnapshotMetadata [alpha]", "service SnapshotMetadata", id="alpha"),
        pytest.param("alpha_enum = 1060", "alpha_enum = 1061", id="extension-number"),
    ],
)
def test_comparison_notices_a_difference(was: str, becomes: str) -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    changed = text.replace(was, becomes)

    assert changed != text
    assert compiled_blocks() != read_blocks(changed)


def test_every_request_with_secrets_marks_them() -> None:
    fields = [f for m in all_messages() for f in m.field if f.name == "secrets"]

    assert len(fields) == 19
    assert all(_is_set(f.options, csi_pb2.csi_secret) for f in fields)


def read_blocks(text: str) -> Blocks:
    """Blocks of the schema file: a line without indent opens one."""
    blocks: Blocks = {}
    lines: list[str] = []
    for line in filter(None, text.splitlines()):
        if line.startswith(" "):
            lines.append(line.strip())
        else:
            assert line not in blocks
            lines = blocks.setdefault(line, [])
    return {heading: sorted(body) for heading, body in blocks.items()}


def compiled_blocks() -> Blocks:
    file = descriptor_pb2.FileDescriptorProto()
    csi_pb2.DESCRIPTOR.CopyToProto(file)
    blocks: Blocks = {}
    for extension in file.extension:
        blocks[
            f"extension {extension.name} = {extension.number} : {_type(extension)} "
            f"extends {extension.extendee}"
        ] = []
    for enum in file.enum_type:
        blocks[_enum(enum, "")] = []
    for service in file.service:
        alpha = _alpha(service.options, csi_pb2.alpha_service)
        blocks[f"service {service.name}{alpha}"] = sorted(_rpc(rpc) for rpc in service.method)
    for message in file.message_type:
        blocks |= _message_blocks(message, "")
    return blocks


def all_messages() -> Iterator[descriptor_pb2.DescriptorProto]:
    file = descriptor_pb2.FileDescriptorProto()
    csi_pb2.DESCRIPTOR.CopyToProto(file)
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting.extend(message.nested_type)
        yield message


def _message_blocks(message: descriptor_pb2.DescriptorProto, outer: str) -> Blocks:
    name = outer + message.name
    maps = {
        f"{PACKAGE}{name}.{entry.name}": f"map<{_type(entry.field[0])},{_type(entry.field[1])}>"
        for entry in message.nested_type
        if entry.options.map_entry
    }
    alpha = _alpha(message.options, csi_pb2.alpha_message)
    oneofs = [oneof.name for oneof in message.oneof_decl]
    blocks = {
        f"message {name}{alpha}": sorted(_field(field, maps, oneofs) for field in message.field)
    }
    for enum in message.enum_type:
        blocks[_enum(enum, f"{name}.")] = []
    for nested in message.nested_type:
        if not nested.options.map_entry:
            blocks |= _message_blocks(nested, f"{name}.")
    return blocks


def _field(
    field: descriptor_pb2.FieldDescriptorProto, maps: dict[str, str], oneofs: list[str]
) -> str:
    text = f"{field.number} {field.name}: "
    if field.type_name in maps:
        text += maps[field.type_name]
    else:
        repeated = field.label == _FIELD.LABEL_REPEATED
        text += ("repeated " if repeated else "") + _type(field)
    if field.HasField("oneof_index"):
        text += f" oneof {oneofs[field.oneof_index]}"
    if _is_set(field.options, csi_pb2.csi_secret):
        text += " [secret]"
    return text + _alpha(field.options, csi_pb2.alpha_field)


def _type(field: descriptor_pb2.FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.removeprefix(PACKAGE).removeprefix(".")
    return _FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()


def _enum(enum: descriptor_pb2.EnumDescriptorProto, outer: str) -> str:
    alpha = _alpha(enum.options, csi_pb2.alpha_enum)
    values = ", ".join(
        f"{value.name}={value.number}{_alpha(value.options, csi_pb2.alpha_enum_value)}"
        for value in enum.value
    )
    return f"enum {outer}{enum.name}{alpha}: {values}"


def _rpc(rpc: descriptor_pb2.MethodDescriptorProto) -> str:
    takes = ("stream " if rpc.client_streaming else "") + rpc.input_type.removeprefix(PACKAGE)
    gives = ("stream " if rpc.server_streaming else "") + rpc.output_type.removeprefix(PACKAGE)
    return f"rpc {rpc.name}({takes}) -> {gives}{_alpha(rpc.options, csi_pb2.alpha_method)}"


def _alpha(options: pb_message.Message, extension: Any) -> str:
    return " [alpha]" if _is_set(options, extension) else ""


def _is_set(options: Any, extension: Any) -> bool:
    """Whether one of our options is set; the stubs cannot tell which extends what."""
    return bool(options.Extensions[extension])
