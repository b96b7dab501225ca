"""Who and where a process is, and who is asked for it."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping

import pytest

from cloud import ecs_model, imds, metadata
from core import errors, executor
from tests.fakes import fake_instances, metadata_server, virtual_clock

Key = metadata.Key
DOCUMENT = "dynamic/instance-identity/document"
IDENTITY = {
    "region-id": "cn-hangzhou",
    "zone-id": "cn-hangzhou-k",
    "instance-id": "i-1",
    "instance-type": "ecs.g7.large",
    "owner-account-id": "123",
}


class Source:
    """A provider of a test."""

    def __init__(self, name: str, values: Mapping[Key, str | errors.Error]) -> None:
        self.name = name
        self.values = dict(values)
        self.keys = set(self.values)
        self.asked: list[Key] = []

    async def read(self, key: Key, known: Mapping[Key, str]) -> str | None:
        self.asked.append(key)
        value = self.values[key]
        if isinstance(value, errors.Error):
            raise value
        return value or None


def chain(*sources: metadata.MetadataProvider) -> metadata.Metadata:
    return metadata.Metadata(sources, virtual_clock.VirtualClock())


async def test_the_first_source_that_knows_wins_and_later_ones_are_not_asked() -> None:
    first, second = Source("a", {Key.REGION_ID: "one"}), Source("b", {Key.REGION_ID: "two"})

    assert await chain(first, second).get(Key.REGION_ID) == "one"
    assert second.asked == []


async def test_an_answer_is_remembered() -> None:
    source = Source("a", {Key.REGION_ID: "one"})
    asked = chain(source)

    assert [await asked.get(Key.REGION_ID), await asked.get(Key.REGION_ID)] == ["one", "one"]
    assert source.asked == [Key.REGION_ID]


async def test_an_unknown_key_names_itself_and_all_who_were_asked() -> None:
    asked = chain(Source("environment", {Key.REGION_ID: ""}), Source("metadata service", {}))

    with pytest.raises(metadata.UnknownMetadata) as raised:
        await asked.get(Key.REGION_ID)

    for part in ("region_id", "environment", "metadata service"):
        assert part in str(raised.value)
    assert await asked.find(Key.REGION_ID) == ""


async def test_after_a_failure_the_next_source_is_asked() -> None:
    failing = Source("a", {Key.REGION_ID: errors.Unavailable("down")})
    asked = chain(failing, Source("b", {Key.REGION_ID: "two"}))

    assert await asked.get(Key.REGION_ID) == "two"


async def test_unknown_after_a_failure_is_unavailable_because_it_may_be_known_later() -> None:
    asked = chain(Source("a", {Key.ZONE_ID: errors.Unavailable("down")}))

    with pytest.raises(errors.Unavailable, match=r"zone_id .* down"):
        await asked.find(Key.ZONE_ID)


async def test_a_failed_source_is_left_alone_for_some_seconds() -> None:
    clock = virtual_clock.VirtualClock()
    source = Source(
        "a", {Key.REGION_ID: errors.Unavailable("down"), Key.ACCOUNT_ID: errors.Unavailable("down")}
    )
    asked = metadata.Metadata([source], clock)

    for key in (Key.REGION_ID, Key.REGION_ID, Key.ACCOUNT_ID):
        with pytest.raises(errors.Unavailable):
            await asked.get(key)
    asked_at_first = list(source.asked)
    source.values[Key.REGION_ID] = "one"
    await clock.advance(6)

    assert asked_at_first == [Key.REGION_ID]
    assert await asked.get(Key.REGION_ID) == "one"


async def test_a_failed_source_does_not_make_unknown_what_it_never_tells_into_unavailable() -> None:
    asked = chain(Source("metadata service", {Key.REGION_ID: errors.Unavailable("down")}))
    with pytest.raises(errors.Unavailable):
        await asked.get(Key.REGION_ID)

    assert await asked.find(Key.CLUSTER_ID) == ""


async def test_the_environment_tells_its_four_keys() -> None:
    provider = metadata.EnvironmentProvider(
        {"REGION_ID": "r", "ALIBABA_CLOUD_ACCOUNT_ID": "a", "CLUSTER_ID": "c"}
    )

    assert await provider.read(Key.REGION_ID, {}) == "r"
    assert await provider.read(Key.ACCOUNT_ID, {}) == "a"
    assert await provider.read(Key.CLUSTER_ID, {}) == "c"
    assert await provider.read(Key.RRSA_TOKEN_FILE, {}) is None


async def test_a_lingjun_machine_is_known_by_its_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lingjun_config"
    path.write_text(
        json.dumps({"RegionId": "r", "ZoneId": "z", "NodeId": "e01-n", "InstanceType": "efg1"})
    )
    provider = metadata.LingjunProvider(path)

    told = [
        await provider.read(key, {})
        for key in (Key.REGION_ID, Key.ZONE_ID, Key.INSTANCE_ID, Key.INSTANCE_TYPE)
    ]
    assert told == ["r", "z", "e01-n", "efg1"]
    assert await provider.read(Key.LINGJUN_NODE, {}) == "true"


async def test_other_machines_have_no_lingjun_file(tmp_path: pathlib.Path) -> None:
    provider = metadata.LingjunProvider(tmp_path / "absent")

    assert await provider.read(Key.REGION_ID, {}) is None
    assert await provider.read(Key.LINGJUN_NODE, {}) is None


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
async def test_a_broken_lingjun_file_is_named(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "lingjun_config"
    path.write_text(text)

    provider = metadata.LingjunProvider(path)
    with pytest.raises(errors.Unavailable, match="lingjun_config"):
        await provider.read(Key.REGION_ID, {})
    with pytest.raises(errors.Unavailable, match="lingjun_config"):
        await metadata.Metadata([provider], virtual_clock.VirtualClock()).find(Key.LINGJUN_NODE)


async def test_the_metadata_service_is_asked_once_for_the_identity_document() -> None:
    pool = executor.BoundedExecutor("imds", 1)
    with metadata_server.serving({DOCUMENT: json.dumps(IDENTITY)}) as server:
        provider = metadata.ImdsProvider(imds.Imds(server.endpoint), pool)
        told = [
            await provider.read(key, {})
            for key in (Key.REGION_ID, Key.ZONE_ID, Key.INSTANCE_ID, Key.INSTANCE_TYPE)
        ]
        reads = server.reads()
    pool.close()

    assert told == ["cn-hangzhou", "cn-hangzhou-k", "i-1", "ecs.g7.large"]
    assert reads == [DOCUMENT]


class FakeCloud:
    """What of the OpenAPI metadata needs."""

    def __init__(self) -> None:
        self.instances = fake_instances.FakeInstances(
            [ecs_model.Instance(instance_id="i-1", zone_id="z", instance_type="ecs.g7.large")]
        )
        self.sts = self

    async def account_id(self) -> str:
        return "123"


async def test_the_openapi_finds_zone_and_type_by_the_instance_id_others_know() -> None:
    asked = chain(
        Source("node object", {Key.INSTANCE_ID: "i-1"}), metadata.OpenApiProvider(FakeCloud)
    )

    assert await asked.get(Key.ZONE_ID) == "z"
    assert await asked.get(Key.INSTANCE_TYPE) == "ecs.g7.large"
    assert await asked.get(Key.ACCOUNT_ID) == "123"


async def test_the_openapi_is_not_touched_when_others_know() -> None:
    def never() -> FakeCloud:
        raise AssertionError("no SDK is wanted")

    asked = chain(Source("a", {Key.ACCOUNT_ID: "1"}), metadata.OpenApiProvider(never))

    assert await asked.get(Key.ACCOUNT_ID) == "1"


_NODE_PROCESS = """
import asyncio, os, sys
from cloud import metadata, settings
from core import settings as core_settings

async def main():
    chosen = settings.read_cloud(core_settings.Reader(os.environ))
    made = metadata.make(chosen, environ={}, openapi=None)
    print(await made.get(metadata.Key.INSTANCE_ID))

asyncio.run(main())
heavy = ("alibabacloud", "Tea", "darabonba", "requests", "aiohttp", "cryptography", "grpc")
print([name for name in sys.modules if name.startswith(heavy)])
"""


def test_a_node_process_knows_itself_without_any_sdk() -> None:
    with metadata_server.serving({DOCUMENT: json.dumps(IDENTITY)}) as server:
        done = subprocess.run(
            [sys.executable, "-c", _NODE_PROCESS],
            env={"IMDS_ENDPOINT": server.endpoint, "PYTHONPATH": str(_ROOT)},
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert done.stdout.splitlines() == ["i-1", "[]"]


_ROOT = pathlib.Path(__file__).parents[3]
