"""The node's own part of the configuration: what is read, remembered, and what starts anew."""

import asyncio
import json

import pytest

from core import errors
from ipamd import dynamic_config, eni_conf, events
from kube import api, node_seen
from tests.fakes import fake_kubernetes, virtual_clock

TUNED = dynamic_config.Dynamic(name="tuned", text='{"max_eni": 1}')
MAP, NODE = (api.Kind.CONFIG_MAP, "tuned"), (api.Kind.NODE, "node-1")


def config_map(text, key="eni_conf"):
    return {"metadata": {"name": "tuned"}, "data": {key: text}}


def node(**labels):
    return {"metadata": {"name": "node-1", "labels": labels}}


class Told:
    """Events: reasons and messages."""

    def __init__(self):
        self.reasons, self.messages = [], []

    def node(self, reason, message, *, warning=True):
        self.reasons.append(reason)
        self.messages.append(message)

    def pod(self, pod, reason, message, *, warning=True):
        """Not told of pods."""


class Rig:
    """A Follower of a node that runs with *in_use*."""

    def __init__(self, tmp_path, in_use=dynamic_config.NONE):
        self.time = virtual_clock.VirtualClock()
        self.server = fake_kubernetes.FakeKubernetes(objects={MAP: config_map(TUNED.text)})
        self.seen = node_seen.NodeSeen()
        self.remembered = dynamic_config.Remembered(tmp_path / "state")
        self.told = Told()
        self.follower = dynamic_config.Follower(
            self.server,
            self.seen,
            self.remembered,
            self.judge,
            tell=self.told,
            time=self.time,
            namespace="kube-system",
            in_use=in_use,
            conf=self.judge(in_use)[0],
        )
        self.task = asyncio.create_task(self.follower.run())

    def judge(self, dynamic):
        faults = eni_conf.Faults()
        plain = eni_conf.load(dynamic.text, dynamic.name, faults) if dynamic.name else {}
        return eni_conf.parse(plain, faults), faults.faults

    async def label(self, **labels):
        self.seen.take({"uid": "u", "labels": labels})
        await virtual_clock.settle()


@pytest.fixture
async def make(tmp_path):
    made = []

    def begin(**kwargs):
        made.append(Rig(tmp_path, **kwargs))
        return made[-1]

    yield begin
    for rig in made:
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)


async def test_a_label_that_changes_the_settings_is_remembered_and_means_a_new_start(make):
    rig = make()
    await rig.label(**{"terway-config": "tuned"})
    await rig.task

    assert rig.remembered.read() == TUNED
    assert rig.server.reads == [(*MAP, "kube-system")]


async def test_a_label_that_is_gone_means_a_new_start_without_it(make):
    rig = make(in_use=TUNED)
    await rig.label()
    await rig.task

    assert rig.remembered.read() == dynamic_config.NONE


@pytest.mark.parametrize("in_use", [dynamic_config.NONE, TUNED])
async def test_what_is_in_use_already_is_remembered_and_nothing_else_happens(make, in_use):
    rig = make(in_use=in_use)
    await rig.label(**({"terway-config": "tuned"} if in_use.name else {}))

    assert not rig.task.done()
    assert rig.remembered.read() == in_use
    assert rig.told.messages == []


async def test_another_text_with_the_same_meaning_starts_nothing_anew(make):
    rig = make(in_use=TUNED)
    rig.server.objects[MAP] = config_map('{ "max_eni" : 1 }')
    await rig.label(**{"terway-config": "tuned"})

    assert not rig.task.done()
    assert rig.remembered.read().text == '{ "max_eni" : 1 }'


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "names tuned, and there is no ConfigMap kube-system/tuned"),
        (config_map("{}", key="other"), "there is no key eni_conf in it"),
        (config_map("{"), "ConfigMap kube-system/tuned: tuned: is not JSON"),
        (config_map('{"a":' * 100_000), "ConfigMap kube-system/tuned: tuned: is not JSON"),
        (config_map('{"max_eni": "many"}'), "max_eni"),
        (config_map('{"ipam_type": "crd"}'), "ipam_type"),
    ],
)
async def test_a_part_that_is_wrong_is_told_once_and_taken_when_it_is_mended(make, found, words):
    rig = make()
    rig.server.objects[MAP] = found
    await rig.label(**{"terway-config": "tuned"})
    await rig.time.advance(31)

    assert not rig.task.done()
    assert rig.remembered.read() is None
    [message] = rig.told.messages
    assert words in message
    assert rig.told.reasons == [events.Reason.CONFIG_ERROR]

    rig.server.objects[MAP] = config_map(TUNED.text)
    await rig.time.advance(31)
    assert rig.task.done()


async def test_a_fault_of_ours_does_not_end_the_following(make, monkeypatch):
    rig = make()
    with monkeypatch.context() as broken:
        broken.setattr(rig.remembered, "read", lambda: 1 / 0)
        broken.setattr(rig.remembered, "write", lambda _: 1 / 0)
        await rig.label(**{"terway-config": "tuned"})
        assert not rig.task.done()

    await rig.time.advance(31)

    assert rig.task.done()
    assert rig.remembered.read() == TUNED


async def test_while_the_server_is_away_nothing_is_told_and_it_is_asked_again(make):
    rig = make()
    rig.server.fault = errors.Unavailable("away")
    await rig.label(**{"terway-config": "tuned"})
    rig.server.fault = None
    await rig.time.advance(31)

    assert rig.task.done()
    assert rig.told.messages == []


async def test_what_cannot_be_remembered_starts_nothing_anew_again_and_again(make, tmp_path):
    (tmp_path / "state").write_text("a file where the directory should be")
    rig = make()
    await rig.label(**{"terway-config": "tuned"})

    assert not rig.task.done()


def test_what_is_remembered_is_for_root_alone(tmp_path):
    remembered = dynamic_config.Remembered(tmp_path)
    assert remembered.read() is None
    remembered.write(TUNED)
    remembered.write(TUNED)

    [path] = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert remembered.read() == TUNED
    path.write_text(json.dumps({"other": 1}))
    assert remembered.read() is None


async def asked(server, time):
    return asyncio.create_task(
        dynamic_config.ask(server, "node-1", "kube-system", time, wait_s=10.0)
    )


async def test_a_new_node_asks_before_it_makes_anything():
    server = fake_kubernetes.FakeKubernetes()
    time = virtual_clock.VirtualClock()
    server.fault = errors.Unavailable("no way there yet")
    task = await asked(server, time)
    await time.advance(2)
    server.fault = None
    await time.advance(2)  # the Node is not registered yet
    assert not task.done()
    server.objects = {NODE: node(**{"terway-config": "tuned"}), MAP: config_map(TUNED.text)}
    await time.advance(2)

    assert await task == TUNED


async def test_a_new_node_does_not_wait_for_ever():
    server = fake_kubernetes.FakeKubernetes(fault=errors.Unavailable("away"))
    time = virtual_clock.VirtualClock()
    task = await asked(server, time)
    await time.advance(12)

    assert await task is None


async def test_a_node_without_the_label_has_no_own_part():
    server = fake_kubernetes.FakeKubernetes(objects={NODE: node(other="x")})

    assert await (await asked(server, virtual_clock.VirtualClock())) == dynamic_config.NONE
