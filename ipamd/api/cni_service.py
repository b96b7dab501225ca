"""The gRPC service `ipamd.v1.Cni`: one call per CNI command, and what the executable prints.

A refused command is an answer, not a gRPC error. So errors are turned into CNI errors here, in one
place, and the interceptor above sees none.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from core import errors
from ipamd import counters, readiness
from ipamd._pb import ipamd_pb2, ipamd_pb2_grpc
from ipamd.attachments import attachments
from ipamd.cni import cni_config, cni_error, cni_result

log = structlog.get_logger()

_FALLBACK_VERSION = "1.0.0"
_GC_SINCE = "1.1.0"
_CHECK_SINCE = "0.4.0"

Handler = Callable[[Any], Awaitable[bytes]]


class CniService(ipamd_pb2_grpc.CniServicer):
    """Answers the executable. ready: whether an ADD would succeed."""

    def __init__(
        self,
        served: attachments.Attachments,
        ready: readiness.Readiness,
        counted: counters.Counters,
    ) -> None:
        self._attachments = served
        self._ready = ready
        self._counted = counted

    async def Add(self, request: Any, context: Any) -> Any:
        return await self._answer(request, self._add, "ADD", "add the container to the network")

    async def Del(self, request: Any, context: Any) -> Any:
        return await self._answer(
            request, self._del, "DEL", "remove the container from the network"
        )

    async def Check(self, request: Any, context: Any) -> Any:
        return await self._answer(request, self._check, "CHECK", "check the container's network")

    async def Gc(self, request: Any, context: Any) -> Any:
        return await self._answer(request, self._gc, "GC", "collect attachments")

    async def Status(self, request: Any, context: Any) -> Any:
        return await self._answer(request, self._status, "STATUS", "tell the status")

    async def _answer(self, request: Any, handle: Handler, command: str, doing: str) -> Any:
        """Result of *handle*, or the CNI error of what it raises."""
        try:
            stdout = await handle(request)
        except errors.Error as e:
            error = cni_error.from_error(e, doing)
        except RecursionError as e:  # nested JSON of a hostile caller
            error = cni_error.CniError(cni_error.DECODING_FAILURE, "cannot be decoded", str(e))
        except Exception as e:
            log.exception("command broke", command=command)
            error = cni_error.CniError(
                cni_error.INTERNAL, f"failed to {doing}", f"{type(e).__name__}; see ipamd's log"
            )
        else:
            self._counted.commands.inc(command, "0")
            return ipamd_pb2.CniReply(stdout=stdout)
        self._counted.commands.inc(command, str(error.code))
        log.warning("command refused", command=command, code=error.code, error=str(error))
        return ipamd_pb2.CniReply(
            exit_status=1, stdout=cni_error.to_json(error, _version_of(request.config))
        )

    async def _add(self, request: Any) -> bytes:
        config = cni_config.parse_config(request.config)
        asked = _attachment(config, request)
        self._ready.require_serving()
        added = await self._attachments.add(config, asked)
        return cni_result.build(config, added.wired, netns=request.netns, mtu=added.lease.mtu)

    async def _del(self, request: Any) -> bytes:
        config = cni_config.parse_del(request.config)
        asked = _attachment(config, request)
        self._ready.require_recovered()
        removed = await self._attachments.remove(asked)
        if not removed:
            log.info("nothing to remove", attachment=str(asked.key))
        return b""

    async def _check(self, request: Any) -> bytes:
        config = _since(cni_config.parse_config(request.config), _CHECK_SINCE, "CHECK")
        self._ready.require_recovered()
        await self._attachments.check(config, _attachment(config, request))
        return b""

    async def _gc(self, request: Any) -> bytes:
        config = _since(cni_config.parse_gc(request.config), _GC_SINCE, "GC")
        if config.valid is None:
            raise cni_error.CniError(
                cni_error.INVALID_CONFIG,
                "cni.dev/valid-attachments is missing",
                "without it every attachment would be removed; [] means that on purpose",
            )
        self._ready.require_recovered()
        failures = await self._attachments.collect(config.name, config.valid)
        if failures:
            raise cni_error.CniError(
                cni_error.TRY_AGAIN_LATER,
                f"{len(failures)} attachments could not be removed",
                "; ".join(failures),
            )
        return b""

    async def _status(self, request: Any) -> bytes:
        _since(cni_config.parse_config(request.config), _GC_SINCE, "STATUS")
        self._ready.require_addresses()
        return b""


def _attachment(config: cni_config.NetworkConfig, request: Any) -> cni_config.Attachment:
    return cni_config.parse_attachment(
        config,
        container_id=request.container_id,
        ifname=request.ifname,
        netns=request.netns,
        args=request.args,
    )


def _since(
    config: cni_config.NetworkConfig, version: str, command: str
) -> cni_config.NetworkConfig:
    """*config* unless its CNI version does not have *command* yet."""
    if cni_config.VERSIONS.index(config.cni_version) < cni_config.VERSIONS.index(version):
        raise cni_error.CniError(
            cni_error.INCOMPATIBLE_VERSION,
            f"config version {config.cni_version!r} does not allow {command}",
            f"it exists since {version}",
        )
    return config


def _version_of(config: bytes) -> str:
    """The caller's CNI version, for an error about a configuration that may be anything."""
    try:
        version = json.loads(config).get("cniVersion")
    except (ValueError, AttributeError, RecursionError):
        return _FALLBACK_VERSION
    return version if isinstance(version, str) and version else _FALLBACK_VERSION
