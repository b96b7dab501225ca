"""Rules for names, descriptions and tags; pure. Source: the SDK's request field comments."""

import re
from collections.abc import Iterable, Mapping

from sim import errors

MAX_TAGS = 20
_NAME = re.compile(r"[^\W\d_][\w:.\-]{1,127}")
_DESCRIPTION_LENGTHS = range(2, 257)
_MAX_TAG_CHARS = 128
_LINKS = ("http://", "https://")


def require_name(field: str, value: str, *, code: str) -> None:
    """2 to 128 characters: a letter, then letters, digits and `:_.-`; "" is fine. 400 *code*."""
    if value and not _NAME.fullmatch(value):
        allowed = "2 to 128 characters: a letter, then letters, digits and :_.-"
        raise errors.invalid_parameter(field, value, allowed, code)


def require_description(value: str) -> None:
    """2 to 256 characters, no link at the start; "" is fine. 400 InvalidDescription.Malformed."""
    if value and (len(value) not in _DESCRIPTION_LENGTHS or value.startswith(_LINKS)):
        allowed = "2 to 256 characters, not starting with http:// or https://"
        raise errors.invalid_parameter(
            "Description", value, allowed, "InvalidDescription.Malformed"
        )


def parse_tags(structs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags of `Tag.N.Key` and `Tag.N.Value`, checked, in the order sent.

    400: InvalidTagKey.Malformed, InvalidTagValue.Malformed, Duplicate.TagKey, NumberExceed.Tags,
    MissingParameter.TagKey.
    """
    tags: dict[str, str] = {}
    for struct in structs:
        key, value = struct.get("Key", ""), struct.get("Value", "")
        if not key:
            raise errors.ApiError("MissingParameter.TagKey", 400, "Tag.N.Key must not be empty.")
        _require_tag(key, value)
        if key in tags:
            raise errors.ApiError(
                "Duplicate.TagKey", 400, f"The Tag.N.Key contain duplicate key {key}."
            )
        tags[key] = value
    if len(tags) > MAX_TAGS:
        raise too_many_tags(MAX_TAGS)
    return tags


def too_many_tags(limit: int) -> errors.ApiError:
    """400 NumberExceed.Tags."""
    return errors.ApiError(
        "NumberExceed.Tags", 400, f"The Tags parameter's number is exceeded, valid: {limit}."
    )


def parse_filter(structs: Iterable[Mapping[str, str]]) -> list[tuple[str, str | None]]:
    """Tag filters of a Describe call: (key, value); None matches any value."""
    return [(item.get("Key", ""), item.get("Value") or None) for item in structs]


def match(tags: Mapping[str, str], wanted: Iterable[tuple[str, str | None]]) -> bool:
    """Every wanted key is there, with its value where one is given."""
    return all(key in tags and value in (None, tags[key]) for key, value in wanted)


def _require_tag(key: str, value: str) -> None:
    if len(key) > _MAX_TAG_CHARS or key.startswith(("aliyun", "acs:")) or _has_link(key):
        allowed = "1 to 128 characters, no aliyun or acs: in front, no http:// or https://"
        raise errors.invalid_parameter("Tag.N.Key", key, allowed, "InvalidTagKey.Malformed")
    if len(value) > _MAX_TAG_CHARS or _has_link(value):
        allowed = "up to 128 characters, no http:// or https://"
        raise errors.invalid_parameter("Tag.N.Value", value, allowed, "InvalidTagValue.Malformed")


def _has_link(text: str) -> bool:
    return any(link in text for link in _LINKS)
