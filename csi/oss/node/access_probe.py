"""`python -m csi.oss.node.access_probe`: why a bucket cannot be mounted, or how full it is.

A process of its own, because the library it imports takes more memory than the whole node service.
Reads one JSON object: `what` ("access" or "usage"), `url`, `region`, `bucket`, `prefix`, `key_id`,
`secret`, `token`. Prints one: `error`, "" = none; for "usage" also `stored_bytes` and `objects`.
"""

import dataclasses
import json
import os
import sys
from typing import Any

from cloud import oss
from core import errors, logs

_NICE = 10


def main() -> int:
    """Do what standard input says."""
    logs.configure(json=True, verbosity=2)  # on stderr: stdout has the answer
    answer = probe(json.load(sys.stdin))
    print(json.dumps(answer))  # noqa: T201 - its result
    return 0


def probe(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to *asked*."""
    key = oss.Key(key_id=asked["key_id"], secret=asked["secret"], token=asked["token"])
    bucket = oss.Bucket(
        url=asked["url"], region_id=asked["region"], name=asked["bucket"], key=lambda: key
    )
    try:
        if asked["what"] == "usage":
            os.nice(_NICE)  # nobody waits for it
            return {"error": "", **dataclasses.asdict(bucket.usage())}
        bucket.require_listable(asked["prefix"])
    except errors.Error as e:
        return {"error": str(e)}
    return {"error": ""}


if __name__ == "__main__":
    sys.exit(main())
