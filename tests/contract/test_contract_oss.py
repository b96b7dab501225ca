"""`cloud.oss` over oss2 against the simulated object storage."""

import oss2
import pytest

from cloud import oss
from tests.sim.oss_harness import REGION, SESSION
from tests.support import processes

NAME = "simulated-bucket"


@pytest.fixture
def ours(rig: processes.Rig) -> oss.Bucket:
    rig.control.request("POST", "reset")
    key = oss.Key(key_id=processes.ACCESS_KEY_ID, secret=processes.ACCESS_KEY_SECRET)
    return oss.Bucket(
        url=f"http://127.0.0.1:{rig.port}", region_id=REGION, name=NAME, key=lambda: key
    )


@pytest.fixture
def theirs(rig: processes.Rig) -> oss2.Bucket:
    auth = oss2.AuthV4(processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
    return oss2.Bucket(auth, f"http://127.0.0.1:{rig.port}", NAME, region=REGION, session=SESSION)


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
def test_a_copy_keeps_what_was_said_of_the_object(
    ours: oss.Bucket, theirs: oss2.Bucket, monkeypatch: pytest.MonkeyPatch, *, in_parts: bool
) -> None:
    told = {
        "x-oss-meta-mode": "33188", "Content-Type": "text/x-odd", "Cache-Control": "no-cache",
        "Content-Disposition": "inline", "Content-Encoding": "identity",
    }  # fmt: skip
    data = bytes(range(256)) * 1000
    theirs.put_object("a", data, headers=told)
    if in_parts:
        monkeypatch.setattr(oss, "_COPY_AT_ONCE_BYTES", 1000)
        monkeypatch.setattr(oss, "_PART_BYTES", 100 << 10)

    ours.copy("a", "b", len(data))

    found = theirs.get_object("b")
    assert found.read() == data
    kind = theirs.head_object("b").headers["x-oss-object-type"]
    assert kind == ("Multipart" if in_parts else "Normal")
    assert {name: found.headers.get(name, "") for name in told} == told


def test_usage_is_the_buckets_own_count(ours: oss.Bucket, theirs: oss2.Bucket) -> None:
    theirs.put_object("a", b"12345")
    theirs.put_object("b/c", b"678")

    assert ours.usage() == oss.Usage(stored_bytes=8, objects=2)
