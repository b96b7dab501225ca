"""Every flag and variable of the chart is one of the program that gets it."""

import json
import pathlib
import re
import subprocess

import pytest

from core import settings as core_settings
from csi import driver, flags
from csi import settings as csi_settings
from csi.mounter import flags as mounter_flags
from ipamd import settings as ipamd_settings
from tests.chart.conftest import Render
from tests.support import chart, processes

DOCUMENTED = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
IPAMD = (processes.ROOT / "docs/reference/ipamd.md").read_text()
FLAGS = (processes.ROOT / "docs/reference/flags.md").read_text()
HELP = re.compile(r"^\s+(?:-\w, )?--?([a-z][a-z0-9-]+)", re.MULTILINE)
OF_SIDECARS = {"NODE_NAME", "NAMESPACE", "POD_NAME"}
"""Source: README of external-provisioner, "Capacity support", "Deployment on each node"."""


def known_variables() -> set[str]:
    return set(DOCUMENTED.findall(FLAGS))


def test_csi_plugin_takes_its_flags_and_settings(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        if each.program != "csi-plugin":
            continue
        arguments = flags.parse(each.arguments)
        reader = core_settings.Reader(each.environment, dict(flags.values(arguments)))
        read = csi_settings.read(arguments, reader)
        reader.finish()
        assert read.json_logs == ("--logging-format=json" in each.arguments)
        assert read.roles == driver.Roles(
            controller=each.workload != "csi-plugin", node=each.workload != "csi-provisioner"
        )


def test_every_variable_of_csi_plugin_is_documented(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        if each.program == "csi-plugin":
            assert set(each.environment) <= known_variables()


def test_no_variable_is_told_twice(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        assert len(each.environment) == len(each.plain.get("env") or ())


def test_ipamd_takes_its_flags(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        if each.program == "ipamd":
            read = ipamd_settings.parse_flags(each.arguments)
            assert read.config == "/etc/eni/eni_conf"
            assert set(each.environment) <= known_variables() | set(DOCUMENTED.findall(IPAMD))


def test_ipamd_takes_its_configuration_without_a_warning(
    objects: list[chart.Object], tmp_path: pathlib.Path
) -> None:
    for each in chart.of_kind(objects, "ConfigMap"):
        for name, text in each["data"].items():
            (tmp_path / name).write_text(text)
        read = ipamd_settings.parse_flags([f"--config={tmp_path / 'eni_conf'}"])
        reader = core_settings.Reader({}, {})
        effective = ipamd_settings.read(read, reader, {})
        reader.finish()
        assert effective.warnings == ()
        assert effective.conf.max_pool_size == 5
        assert json.loads(each["data"]["10-terway.conflist"])["name"] == "terway-chainer"


def test_csi_mounter_takes_its_flags(objects: list[chart.Object]) -> None:
    for each in chart.containers(objects):
        if each.program == "csi-mounter":
            read = mounter_flags.parser().parse_args(each.arguments)
            assert str(read.socket) == "/run/fuse.ossfs/mounter.sock"
            assert each.environment == {}


@pytest.fixture(scope="module")
def sidecar_flags() -> dict[str, set[str]]:
    """Flags that each sidecar knows, as its help tells."""
    told = {}
    for program in (*chart.SIDECARS, "snapshot-controller"):
        done = subprocess.run(
            [str(chart.programs() / program), "--help"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        told[program] = {"v", *HELP.findall(done.stdout + done.stderr)}
    return told


def test_sidecars_know_their_flags(
    objects: list[chart.Object], sidecar_flags: dict[str, set[str]]
) -> None:
    for each in chart.containers(objects):
        if each.program in sidecar_flags:
            given = {word.split("=")[0].lstrip("-") for word in each.arguments}
            assert given <= sidecar_flags[each.program], each.name
            assert set(each.environment) <= OF_SIDECARS


# Source: spec/csi-driver.md 7.2. Sidecars of all nodes together are many.
RATES = {"disk": 1000, "bmcpfs": 500, "nas": 100, "oss": 100, "local": 5, "lvm": 5}


@pytest.mark.parametrize(("given", "central"), [(0, RATES), (40, dict.fromkeys(RATES, 40))])
def test_sidecars_ask_the_api_server_as_often_as_those_of_the_existing_chart(
    render: Render, given: int, central: dict[str, int]
) -> None:
    made = render({**chart.EVERYTHING, "controller": {"kubeApiQps": given}})

    for each in chart.containers(made):
        if "--kube-api-qps" in str(each.arguments):
            told = dict(word.split("=", 1) for word in each.arguments if "=" in word)
            driver_name = each.name.split("-")[0]
            rate = (central if each.workload == "csi-provisioner" else RATES)[driver_name]
            assert told["--kube-api-qps"] == str(rate), each.name
            assert told["--kube-api-burst"] == str(2 * rate)


def test_the_room_of_a_node_goes_with_its_pod(everything: list[chart.Object]) -> None:
    told = [each for each in chart.containers(everything) if "--enable-capacity" in each.arguments]

    assert [each.name for each in told] == ["local-provisioner", "lvm-provisioner"]
    for each in told:
        assert "--capacity-ownerref-level=0" in each.arguments


def test_every_program_is_one_we_know(objects: list[chart.Object]) -> None:
    ours = {"csi-plugin", "csi-mounter", "ipamd"}
    others = {*chart.SIDECARS, "snapshot-controller"}

    for each in chart.containers(objects):
        assert each.initial or each.program in ours | others


def test_the_variables_that_may_be_added_are_ours() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())["properties"]

    for part in ("controller", "node", "local", "ipamd"):
        names = schema[part]["properties"]["env"]["propertyNames"]["enum"]
        assert set(names) <= known_variables()


def test_no_variable_that_the_chart_sets_can_be_set_again(objects: list[chart.Object]) -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())["properties"]
    parts = {"csi-provisioner": "controller", "csi-plugin": "node", "csi-local": "local"}
    added = {"DISK_ATTACH_CONCURRENCY"}  # by a variant

    for each in chart.containers(objects):
        if each.program in {"csi-plugin", "ipamd"}:
            part = parts.get(each.workload, "ipamd")
            names = schema[part]["properties"]["env"]["propertyNames"]["enum"]
            assert not set(names) & set(each.environment) - added


def test_the_feature_gates_that_may_be_set_are_ours() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())
    gates = schema["properties"]["csi"]["properties"]["featureGates"]["propertyNames"]["enum"]

    assert set(gates) == set(driver.feature_gates())
