"""docs/reference names every key, flag and metric of ipamd, and no other."""

import dataclasses
import pathlib
import re

from core import clock, metrics
from ipamd import counters, eni_conf, events, gauges, settings
from ipamd.pool import pool, pool_state
from kube import pod_cache

REFERENCE = pathlib.Path(__file__).parents[3] / "docs/reference"
IPAMD = (REFERENCE / "ipamd.md").read_text()
METRICS = (REFERENCE / "ipamd-metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CLOUD = "alibaba_cloud_"
"""Series of the cloud package, which registers them when it is made."""


def test_every_key_of_eni_conf_is_documented():
    names = {field.name for field in dataclasses.fields(eni_conf.EniConf)}
    keys = {name.removesuffix("_s") for name in names} | set(eni_conf.OTHER_MODES)

    assert {key for key in keys if f"`{key}`" not in IPAMD} == set()


def test_every_metric_is_documented_with_its_labels_and_no_other():
    registry = metrics.Metrics()
    counted = counters.Counters(registry)
    gauges.observer(registry)
    state = pool_state.PoolState(cool_down_s=1.0)
    addresses = pool.Pool(
        state,
        clock.SystemClock(),
        events.LogEvents(),
        pack=True,
        sync_period_s=1.0,
        changed=lambda: None,
        counted=counted,
    )
    gauges.offer_pool(registry, addresses)
    gauges.offer_janitor(registry, counters.Cleanups())
    gauges.offer_pods(registry, pod_cache.PodCache())
    rows = {name: labels for name, _, labels, _ in ROW.findall(METRICS)}
    documented = {
        name: tuple(re.findall(r"`(\w+)`", labels))
        for name, labels in rows.items()
        if not name.startswith(CLOUD)
    }

    known = {name: series.labels for name, series in registry._counters.items()}
    known |= {name: series.labels for name, series in registry._histograms.items()}
    known |= {name: labels for name, (_, labels, _) in registry._gauges.items()}
    assert documented == known
    meanings = {name: text.strip() for name, _, _, text in ROW.findall(METRICS)}
    assert {n: meanings[n] for n in known} == registry.names()


def test_flags_have_help():
    flags = settings.parse_flags([])

    assert flags.config == "/etc/eni/eni_conf"
    assert flags.check_period == 60
