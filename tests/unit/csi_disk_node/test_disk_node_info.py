"""Who the node is and how many volumes it takes."""

import datetime
import os
import pathlib
import subprocess
import sys

import pytest

from cloud import ecs_model
from cloud import metadata as cloud_metadata
from core import errors, executor, settings
from csi.disk.node import info, limits_probe, node_settings, volume_limits
from host import own_program

Key = cloud_metadata.Key
KNOWN = {Key.INSTANCE_ID: "i-1", Key.ZONE_ID: "cn-hangzhou-b", Key.REGION_ID: "cn-hangzhou"}


class Metadata:
    def __init__(self, values: dict[Key, str]) -> None:
        self._values = values

    async def get(self, key: Key) -> str:
        if key not in self._values:
            raise cloud_metadata.UnknownMetadata(key, ["test"])
        return self._values[key]

    async def find(self, key: Key) -> str:
        return self._values.get(key, "")


class Limits:
    def __init__(self, answer: int | None) -> None:
        self.answer = answer
        self.asked = 0

    async def max_volumes(self, instance_id: str) -> int | None:
        self.asked += 1
        return self.answer


def reader(
    limits: volume_limits.NodeLimits,
    known: dict[Key, str] = KNOWN,
    *,
    node_id: str = "",
    **changes: object,
) -> info.NodeInfoReader:
    chosen = node_settings.NodeSettings(kubelet_root=pathlib.Path("/k"), **changes)
    return info.NodeInfoReader(chosen, Metadata(known), limits, node_id=node_id)


async def test_a_node_tells_its_instance_zone_and_region() -> None:
    info = await reader(Limits(15)).read()

    assert (info.node_id, info.max_volumes) == ("i-1", 15)
    assert info.segments == {
        "alibabacloud.com/ecs-instance-id": "i-1",
        "topology.diskplugin.csi.alibabacloud.com/zone": "cn-hangzhou-b",
        "topology.kubernetes.io/zone": "cn-hangzhou-b",
        "topology.kubernetes.io/region": "cn-hangzhou",
    }


async def test_with_private_topology_only_the_drivers_own_keys_are_told() -> None:
    info = await reader(Limits(15), private_topology_key=True).read()

    assert info.segments == {
        "alibabacloud.com/ecs-instance-id": "i-1",
        "topology.diskplugin.csi.alibabacloud.com/zone": "cn-hangzhou-b",
        "topology.diskplugin.csi.alibabacloud.com/region": "cn-hangzhou",
    }


async def test_a_given_node_id_wins() -> None:
    assert (await reader(Limits(1), node_id="i-given").read()).node_id == "i-given"


async def test_a_given_limit_wins_and_nobody_is_asked() -> None:
    limits = Limits(15)

    assert (await reader(limits, max_volumes=7).read()).max_volumes == 7
    assert limits.asked == 0


async def test_an_unknown_limit_leaves_it_to_the_orchestrator() -> None:
    info = await reader(Limits(None)).read()

    assert info.max_volumes == 0
    assert info.segments


async def test_a_limit_that_cannot_be_asked_for_is_unknown() -> None:
    class Failing:
        async def max_volumes(self, instance_id: str) -> int | None:
            raise errors.Denied("Forbidden.RAM")

    assert (await reader(Failing()).read()).max_volumes == 0


async def test_a_node_known_to_have_no_slot_tells_no_topology() -> None:
    assert (await reader(Limits(0)).read()).segments == {}


async def test_a_lingjun_machine_says_so() -> None:
    known = KNOWN | {Key.LINGJUN_NODE: "true", Key.LINGJUN_HPN_ZONE: "A1"}

    segments = (await reader(Limits(1), known).read()).segments

    assert segments["alibabacloud.com/lingjun-worker"] == "true"
    assert segments["alibabacloud.com/lingjun-hpnzone"] == "A1"


async def test_a_node_that_does_not_know_itself_says_what_is_missing() -> None:
    with pytest.raises(cloud_metadata.UnknownMetadata, match="instance_id"):
        await reader(Limits(1), {}).read()


def attached(disk_id: str, category: str = "cloud_essd", **changes: object) -> ecs_model.Disk:
    fields: dict[str, object] = {
        "disk_id": disk_id,
        "region_id": "cn-hangzhou",
        "zone_id": "cn-hangzhou-b",
        "state": ecs_model.DiskState.IN_USE,
        "category": category,
        "size_gib": 20,
    }
    return ecs_model.Disk(**(fields | changes))


def test_foreign_disks_take_slots_and_volumes_do_not() -> None:
    disks = [
        attached("d-system", disk_type="system"),
        attached("d-foreign1"),
        attached("d-foreign2"),
        attached("d-tagged", tags={"csi.alibabacloud.com/volume-name": "pv-1"}),
        attached("d-marked1"),
        attached("d-marked2"),
        attached("d-leaving", state=ecs_model.DiskState.DETACHING),
        attached("d-local", "local_ssd_pro"),
    ]

    free = volume_limits.count_free(17, disks, lambda d: d.disk_id.startswith("d-marked"))

    assert free == 14


class Ecs:
    """Answers for one instance; itself the instance API and the disk API."""

    def __init__(self, *, quantity: int | None, disks: list[ecs_model.Disk]) -> None:
        self.instances = self.disks = self
        self._quantity = quantity
        self._disks = disks

    async def read(self, instance_id: str) -> ecs_model.Instance | None:
        if instance_id != "i-1":
            return None
        return ecs_model.Instance(instance_id="i-1", instance_type="ecs.g7.large")

    async def type(self, instance_type_id: str) -> ecs_model.InstanceType | None:
        return ecs_model.InstanceType(
            instance_type_id=instance_type_id, disk_quantity=self._quantity
        )

    async def find(self, *, instance_id: str = "") -> list[ecs_model.Disk]:
        return self._disks


@pytest.mark.parametrize(
    ("instance_id", "quantity", "answer"), [("i-1", 17, 15), ("i-1", None, None), ("i-2", 17, None)]
)
async def test_the_cloud_tells_how_many_volumes_fit(
    instance_id: str, quantity: int | None, answer: int | None
) -> None:
    ecs = Ecs(quantity=quantity, disks=[attached("d-system"), attached("d-foreign")])
    limits = volume_limits.CloudLimits(lambda: ecs, is_marked=lambda _: False)

    assert await limits.max_volumes(instance_id) == answer


def test_free_slots_are_never_negative() -> None:
    assert volume_limits.count_free(1, [attached("a"), attached("b")], lambda _: False) == 0


@pytest.mark.parametrize(
    ("text", "answer"),
    [('{"max_volumes": 15}\n', 15), ('noise\n{"max_volumes": null}', None)],
)
def test_the_probes_answer_is_its_last_line(text: str, answer: int | None) -> None:
    assert volume_limits.parse_answer(text) == answer


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"max_volumes": -1}', '{"max_volumes": true}']
)
def test_an_answer_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(errors.Internal, match="probe"):
        volume_limits.parse_answer(text)


class SteppingClock:
    now_s = 0.0

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s


@pytest.mark.parametrize(
    ("output", "answer", "kept_s"), [('{"max_volumes": 3}', 3, 300.0), ("broken", None, 60.0)]
)
async def test_the_probes_answer_is_kept_for_a_while(
    monkeypatch: pytest.MonkeyPatch, output: str, answer: int | None, kept_s: float
) -> None:
    runs = []

    def fake_ask(module: str, *arguments: str, timeout_s: float) -> str:
        runs.append((module, arguments, timeout_s))
        return output

    monkeypatch.setattr(own_program, "ask", fake_ask)
    time = SteppingClock()
    limits = volume_limits.ProbeLimits(executor.BoundedExecutor("test", 1), time)

    assert await limits.max_volumes("i-1") == answer
    time.now_s = kept_s - 1
    assert await limits.max_volumes("i-1") == answer
    assert len(runs) == 1
    time.now_s = kept_s
    await limits.max_volumes("i-1")

    assert len(runs) == 2
    assert runs[0] == ("csi.disk.node.limits_probe", ("i-1",), 20.0)


def test_settings_have_the_references_names_and_defaults() -> None:
    chosen = node_settings.read_node(settings.Reader({}))

    assert chosen == node_settings.NodeSettings(kubelet_root=pathlib.Path("/var/lib/kubelet"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBELET_ROOT_DIR", "relative"),
        ("KUBELET_ROOT_DIR", "/"),
        ("KUBELET_ROOT_DIR", "/a/../b"),
        ("MAX_VOLUMES_PERNODE", "-1"),
        ("DISK_PARTITION_ENABLE", "perhaps"),
    ],
)
def test_faulty_settings_are_reported_by_name(name: str, value: str) -> None:
    source = settings.Reader({name: value})

    node_settings.read_node(source)

    assert [name in fault for fault in source.faults] == [True]


def test_the_node_service_imports_no_sdk_and_no_web_server() -> None:
    program = (
        "import sys; import csi.disk.node; "
        "heavy = ('alibabacloud', 'darabonba', 'Tea', 'aiohttp', 'pydantic', 'requests', 'yaml', "
        "'prometheus_client', 'sim'); "
        "print([m for m in sys.modules if m.split('.')[0].startswith(heavy)])"
    )

    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert out.stdout.strip() == "[]"


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in tuple(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "ACCESS_KEY_", "DISK_", "KUBELET_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ALIBABA_CLOUD_NO_ECS_METADATA", "true")
    return monkeypatch


def test_the_probe_without_credentials_knows_nothing(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limits_probe.main(["i-1"]) == 0

    assert volume_limits.parse_answer(capsys.readouterr().out) is None


def test_the_probe_tells_faulty_settings(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_environment.setenv("KUBELET_ROOT_DIR", "relative")

    assert limits_probe.main(["i-1"]) == 1
    assert "KUBELET_ROOT_DIR" in capsys.readouterr().err


def test_the_probe_wants_one_instance_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert limits_probe.main([]) == 2
    assert "usage" in capsys.readouterr().err
