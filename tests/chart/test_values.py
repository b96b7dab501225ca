"""values.yaml, its schema and its documentation are one; what contradicts itself is refused."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support import chart, processes
from tools import helm_values

VALUES = (chart.CHART / "values.yaml").read_text()
SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())
DEVICES = {"enabled": True, "devices": ["/dev/vdb"]}
ON, OFF = {"enabled": True}, {"enabled": False}


def keys(values: Any, path: str = "") -> set[str]:
    if not isinstance(values, Mapping) or not values:
        return {path}
    return {each for key, value in values.items() for each in keys(value, f"{path}.{key}")}


def schema_at(path: str) -> Any:
    """The schema of a value; None for what is free inside, such as a nodeSelector."""
    here = SCHEMA
    for key in path.split(".")[1:]:
        if "$ref" in here:
            here = SCHEMA["definitions"][here["$ref"].rsplit("/", 1)[1]]
        if "properties" not in here:
            return None
        assert key in here["properties"], path
        here = here["properties"][key]
    return here


def closed(schema: Any) -> bool:
    return schema.get("additionalProperties") is not None or "properties" not in schema


def test_every_value_is_in_the_schema() -> None:
    for path in keys(yaml.safe_load(VALUES)):
        schema_at(path)


def test_the_schema_has_no_value_that_is_not_there() -> None:
    values = yaml.safe_load(VALUES)

    def look(schema: Any, here: Any, path: str) -> None:
        if path in {"ipamd.eniConf", "ipamd.conflist"} or "$ref" in schema:
            return
        for key, inner in schema.get("properties", {}).items():
            if path or key != "global":
                assert key in here, f"{path}.{key}"
                look(inner, here[key], f"{path}.{key}".lstrip("."))

    look(SCHEMA, values, "")


def test_the_schema_is_closed_everywhere() -> None:
    def look(schema: Any) -> None:
        assert closed(schema), schema
        for inner in schema.get("properties", {}).values():
            look(inner)

    look({key: value for key, value in SCHEMA.items() if key != "definitions"})


def test_every_value_has_a_comment() -> None:
    told = helm_values.parse(VALUES)

    assert [each.path for each in told if not each.text] == []


def test_the_reference_is_made_of_the_comments() -> None:
    page = (processes.ROOT / "docs/reference/helm-values.md").read_text()

    assert page == helm_values.page(VALUES), "run tools/helm_values.py"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nodes": {}}, "additional properties 'nodes' not allowed"),
        ({"csi": {"disk": {"enable": True}}}, "additional properties 'enable' not allowed"),
        ({"node": {"env": {"MAX_VOLUMES": "4"}}}, "invalid propertyName 'MAX_VOLUMES'"),
        ({"controller": {"env": {"REGION_ID": "x"}}}, "invalid propertyName 'REGION_ID'"),
        ({"csi": {"featureGates": {"Foo": True}}}, "invalid propertyName 'Foo'"),
        ({"ipamd": {"eniConf": {"max_pol": 5}}}, "additional properties 'max_pol' not allowed"),
        ({"ipamd": {"eniConf": {"access_key": "x"}}}, "'access_key' not allowed"),
        ({"logging": {"format": "xml"}}, "/logging/format"),
        ({"csi": {"lvm": {"devices": ["vdb"]}}}, "/csi/lvm/devices/0"),
        ({"node": {"port": "high"}}, "/node/port"),
        ({"csi": {"disk": {"nodeAllocatableUpdatePeriodSeconds": 5}}}, "PeriodSeconds"),
        ({"kubelet": {"rootDir": "/"}}, "/kubelet/rootDir"),
        ({"kubelet": {"rootDir": "/data/kubelet/"}}, "/kubelet/rootDir"),
        ({"kubelet": {"rootDir": "/data/../etc"}}, "/kubelet/rootDir"),
        ({"csi": {"lvm": {"loopDir": "/"}}}, "/csi/lvm/loopDir"),
        ({"images": {"csiPlugin": {"tag": "v1@sha256:12"}}}, "/images/csiPlugin/tag"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(values: chart.Values, words: str) -> None:
    with pytest.raises(chart.Refused) as refused:
        chart.render(values)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"csi": {"disk": OFF, "nas": OFF, "oss": OFF}}, "nothing is switched on"),
        (
            {
                "cloud": {
                    "credentials": {"accessKey": {"enabled": True}, "addonToken": {"enabled": True}}
                }
            },
            "only one may be enabled, and these are: accessKey, addonToken",
        ),
        ({"cloud": {"credentials": {"rrsa": {"enabled": True}}}}, "rrsa.roleArn is required"),
        (
            {"cloud": {"credentials": {"rrsa": {"enabled": True, "roleArn": "a"}}}},
            "rrsa.oidcProviderArn is required",
        ),
        ({"cloud": {"metadataService": False}}, "cloud.regionId is required"),
        ({"csi": {"lvm": {"enabled": True}}}, "csi.lvm.enabled needs csi.lvm.devices"),
        ({"csi": {"lvm": {"legacy": True}}}, "csi.lvm.legacy needs csi.lvm.enabled"),
        ({"mounter": {"clients": []}}, "mounter.clients is empty"),
        ({"classes": {"default": "fast"}}, "fast is none of the classes that are made: alicloud"),
        ({"node": {"port": 11263}}, "must differ"),
        (
            {"node": {"address": "127.0.0.1"}, "monitoring": {"podMonitors": True}},
            "nobody can scrape nodes whose node.address is 127.0.0.1",
        ),
        ({"csi": {"lvm": DEVICES}, "local": {"port": 11260}}, "must differ"),
        (
            {"ipamd": {"enabled": True, "eniConf": {"min_pool_size": 9}}},
            "min_pool_size 9 is more than max_pool_size 5",
        ),
        (
            {"ipamd": {"enabled": True, "conflist": {"plugins": [{"type": "bridge"}]}}},
            "no plug-in of type terway",
        ),
    ],
)
def test_a_contradiction_is_refused(values: chart.Values, words: str) -> None:
    with pytest.raises(chart.Refused) as refused:
        chart.render(values)

    assert words in str(refused.value)
