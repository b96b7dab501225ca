"""Requests to the cloud's API, signed by hand (RPC signature 1.0): the SDK starts slowly."""

import base64
import datetime
import hashlib
import hmac
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

NAS = "2017-06-26"


class Refused(Exception):
    """The API answered with an error. code: the cloud's."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}")
        self.code = code


def call(
    endpoint: str, key: tuple[str, str], version: str, action: str, parameters: Mapping[str, object]
) -> dict[str, Any]:
    """The answer of an action. endpoint: host:port. key: id and secret. Raises Refused."""
    told = {name: str(value) for name, value in parameters.items()}
    values = common_parameters(action, version, key[0]) | told
    values["Signature"] = sign_v1("GET", values, key[1])
    try:
        url = f"http://{endpoint}/?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as e:
        text = e.read().decode()
        raise Refused(e.code, json.loads(text).get("Code", ""), text) from None


def now_text(offset_s: float = 0) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=offset_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def common_parameters(action: str, version: str, key_id: str) -> dict[str, str]:
    return {
        "Action": action,
        "Version": version,
        "Format": "JSON",
        "AccessKeyId": key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": now_text(),
    }


def sign_v1(method: str, values: Mapping[str, str], secret: str) -> str:
    def quote(text: str) -> str:
        return urllib.parse.quote(text, safe="~")

    query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(values.items()))
    text = f"{method}&%2F&{quote(query)}"
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
