"""Names of bucket spaces: spec/csi-driver.md 5.2."""

from collections.abc import Container, Mapping

import pytest

from cloud import metadata
from core import clock, errors
from csi.oss import bucket_space


class Told:
    """A provider that knows *known*."""

    name = "test"

    def __init__(self, known: Mapping[metadata.Key, str]) -> None:
        self._known = known

    @property
    def keys(self) -> Container[metadata.Key]:
        return self._known

    async def read(self, key: metadata.Key, known: Mapping[metadata.Key, str]) -> str | None:
        return self._known.get(key)


def knowing(**known: str) -> metadata.Metadata:
    told = {metadata.Key[name.upper()]: text for name, text in known.items()}
    return metadata.Metadata([Told(told)], clock.SystemClock())


@pytest.mark.parametrize(
    ("more", "region_id"),
    [
        ({"region": "cn-a"}, "cn-a"),
        ({"url": "https://oss-cn-b-internal.aliyuncs.com"}, "cn-b"),
        ({"url": "oss-cn-b.aliyuncs.com"}, "cn-b"),
        ({"url": "oss.example"}, "cn-node"),
    ],
)
async def test_g44_a_prefix_becomes_a_name(more: dict[str, str], region_id: str) -> None:
    told = knowing(account_id="123", region_id="cn-node")

    made = await bucket_space.resolve(told, {"BucketSpacePrefix": "mine", **more})

    assert made == {"bucketSpace": f"mine-123-{region_id}-bs-apsr", **more}


async def test_g44_a_name_of_ones_own_stays() -> None:
    own = {"bucketSpace": "s", "agenticBucket": "a"}

    assert await bucket_space.resolve(knowing(), own) == own
    with pytest.raises(errors.InvalidField, match="exclude each other"):
        await bucket_space.resolve(knowing(), {**own, "bucketSpacePrefix": "p"})
    with pytest.raises(errors.Error, match=r"(?i)account"):
        await bucket_space.resolve(knowing(), {"bucketSpacePrefix": "p", "region": "r"})
