"""The CNI configuration on the node: there while ADDs can be served, and only then.

The container runtime calls a node ready for pods as soon as it finds one. Source: spec/terway.md
1.3, 1.5.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from core import clock, errors
from ipamd import events

log = structlog.get_logger()

FILE_NAME = "10-terway.conflist"
_OLD_NAME = "10-terway.conf"
_POLICY = "disable_network_policy"
"""Key of Terway's ConfigMap, which is a file beside the others."""
_DEFAULT: Mapping[str, Any] = {"type": "terway", "capabilities": {"bandwidth": True}}
_VERSION = "1.0.0"
_NETWORK = "terway-chainer"
_MODE = 0o600
_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 30.0


def build(conf_dir: pathlib.Path) -> bytes:
    """The configuration from the files an operator gives in *conf_dir*.

    `10-terway.conflist` wins over `10-terway.conf`; without either there is a default. Raises
    Invalid for files that are no CNI configuration.
    """
    plain = _read(conf_dir / FILE_NAME)
    if plain is None:
        single = _read(conf_dir / _OLD_NAME)
        plain = {"plugins": [dict(_DEFAULT) if single is None else single]}
    plugins = plain.get("plugins")
    if not isinstance(plugins, list) or not all(isinstance(each, dict) for each in plugins):
        raise errors.Invalid(f"{conf_dir / FILE_NAME}: plugins must be a list of objects")
    if not any(each.get("type") == "terway" for each in plugins):
        raise errors.Invalid(f'{conf_dir / FILE_NAME}: no plug-in has the type "terway"')
    stripped = [{k: v for k, v in p.items() if k not in ("cniVersion", "name")} for p in plugins]
    document = {
        "cniVersion": plain.get("cniVersion", _VERSION),
        "name": plain.get("name", _NETWORK),
        "plugins": stripped,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def warnings(conf_dir: pathlib.Path) -> list[str]:
    """What the files of Terway in *conf_dir* ask for and ipamd does not have.

    Raises nothing: `build` tells what is wrong with them. Source: spec/terway.md 1.4 and 1.6.
    """
    told = []
    with contextlib.suppress(errors.Invalid):
        plugins = json.loads(build(conf_dir))["plugins"]
        for each in plugins:
            kind = str(each.get("eniip_virtual_type") or "")
            if each.get("type") == "terway" and kind.lower() not in ("", "veth"):
                told.append(
                    f"eniip_virtual_type: {kind!r} has no effect: pods get veth pairs with policy "
                    "routes"
                )
        if any(each.get("type") == "cilium-cni" for each in plugins):
            told.append(
                "cilium-cni is called after terway: without a cilium-agent on this node, which "
                "does not come with ipamd, no pod starts; take it out of the CNI configuration"
            )
    with contextlib.suppress(OSError, ValueError):
        disabled = (conf_dir / _POLICY).read_text().strip().lower()
        if disabled in ("", "0", "false"):
            told.append(
                f"{_POLICY}: {disabled!r} asks for network policy, which ipamd does not have: "
                "NetworkPolicy objects have no effect on this node"
            )
    return told


def write(content: bytes, cni_dir: pathlib.Path) -> None:
    """Put the configuration in place in one step, and take the old single file away."""
    target = cni_dir / FILE_NAME
    partial = cni_dir / f".{FILE_NAME}.partial"
    try:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(fd, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(fd)  # after a power loss the runtime must not find it empty
        partial.replace(target)
        (cni_dir / _OLD_NAME).unlink(missing_ok=True)
    except OSError as e:
        raise errors.Precondition(f"CNI configuration {target} cannot be written: {e}") from e
    log.info("CNI configuration written", path=str(target))


async def offer(
    content: bytes,
    cni_dir: pathlib.Path,
    *,
    is_wanted: Callable[[], bool],
    time: clock.Clock,
    tell: events.Events,
) -> bool:
    """Write it, again and again until it works or is not wanted any more; whether it is there.

    A full disk passes, and a node without this file runs no pods.
    """
    delay_s = _RETRY_FIRST_S
    while is_wanted():
        try:
            write(content, cni_dir)
        except errors.Precondition as e:
            log.warning("trying again", error=str(e), retry_s=delay_s)
            tell.node(events.Reason.RESOURCE_INVALID, f"the node runs no pods: {e}")
        else:
            return True
        await time.sleep(delay_s)
        delay_s = min(delay_s * 2, _RETRY_MAX_S)
    return False


async def keep(
    content: bytes,
    cni_dir: pathlib.Path,
    *,
    is_wanted: Callable[[], bool],
    time: clock.Clock,
    tell: events.Events,
    period_s: float,
) -> None:
    """Write it again when somebody removed it, until it is not wanted: the node is NotReady then.

    One that was changed is left alone: agents of service meshes put their plug-in into it.
    """
    while is_wanted():
        await time.sleep(period_s)
        if not is_wanted() or _is_there(cni_dir / FILE_NAME):
            continue
        text = f"{cni_dir / FILE_NAME} was removed by somebody else; it is written again"
        tell.node(events.Reason.RESOURCE_INVALID, text)
        await offer(content, cni_dir, is_wanted=is_wanted, time=time, tell=tell)


def _is_there(path: pathlib.Path) -> bool:
    """Unlike `Path.exists` this raises nothing of an ill disk, which `offer` waits for."""
    return os.path.exists(path)  # noqa: PTH110


def remove(cni_dir: pathlib.Path) -> None:
    """Take the configuration away; absent is fine."""
    with contextlib.suppress(FileNotFoundError):
        (cni_dir / FILE_NAME).unlink()
        log.info("CNI configuration removed", path=str(cni_dir / FILE_NAME))


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    try:
        plain = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise errors.Invalid(f"{path} is not a JSON file: {e}") from e
    if not isinstance(plain, dict):
        raise errors.Invalid(f"{path} does not hold a JSON object")
    return plain
