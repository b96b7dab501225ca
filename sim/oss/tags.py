"""What tags an object may have, and those a header gives it. Pure.

Rules: the API page of PutObjectTagging, and that of EC 0010-00000219. The name of the code is
inferred.
"""

import re
import urllib.parse
from collections.abc import Sequence

from sim.oss import errors, wire

_MOST = 10
_KEY = re.compile(r"[\w +=.:/-]{1,128}")
_VALUE = re.compile(r"[\w +=.:/-]{0,256}")


def given(ask: wire.OssRequest) -> dict[str, str]:
    """The tags an upload asks for, as `key1=value1&key2`. Raises OssError InvalidTag."""
    text = ask.own("tagging")
    rows = []
    for part in text.split("&") if text else ():
        key, _, value = part.partition("=")
        if "=" in value:
            raise _invalid(f"{part} is neither a key nor key=value")
        rows.append((urllib.parse.unquote_plus(key), urllib.parse.unquote_plus(value)))
    return checked(rows)


def checked(rows: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The tags, when an object may have them. Raises OssError InvalidTag."""
    if len(rows) > _MOST:
        raise _invalid(f"an object has at most {_MOST} tags, not {len(rows)}")
    for key, value in rows:
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise _invalid(
                f"{key}={value} is not 1 to 128, and 0 to 256, letters, digits, spaces and +-=._:/"
            )
    found = dict(rows)
    if len(found) != len(rows):
        raise _invalid("two tags have the same key")
    return found


def _invalid(why: str) -> errors.OssError:
    return errors.OssError("InvalidTag", 400, f"The tags are invalid: {why}.", ec="0010-00000219")
