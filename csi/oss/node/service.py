"""The Node service of the OSS driver: parse, lock, service, respond; and how it is made."""

import dataclasses
import functools
from typing import Any

from cloud import metadata as cloud_metadata
from core import errors, executor, keyed_lock, shared_reads
from csi import answers, driver, requests, volume_stats
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.node import at_path, network_stats
from csi.oss import bucket_space
from csi.oss.node import diagnosis, mounters, node_requests, objects, publish, roles, usage
from csi.oss.node import settings as node_settings
from host import looks, nfs, paths

_Rpc = csi_pb2.NodeServiceCapability.RPC
_WELL = "the client answers"
_THREADS = 16
_HANGING_MAX = 64
"""Volumes whose clients may hang at once, before the health of others is not told."""
_NOT_ASKED = "?"
"""The node's region before the metadata service is asked for it, which few volumes need."""

CAPABILITIES = (
    _Rpc.STAGE_UNSTAGE_VOLUME,
    _Rpc.GET_VOLUME_STATS,
    _Rpc.VOLUME_CONDITION,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)


class NodeServicer(csi_pb2_grpc.NodeServicer):
    """Publishes, measures and unpublishes volumes on this node.

    Staging does nothing: what mounts needs, the secrets above all, comes with each publish.
    """

    def __init__(
        self,
        settings: node_settings.NodeSettings,
        *,
        node_id: str,
        metadata: cloud_metadata.Metadata,
        publisher: publish.Publisher,
        keys: roles.Roles,
        kubernetes: objects.Objects,
        usages: usage.Usages,
    ) -> None:
        self._objects = kubernetes
        self._settings = settings
        self._usages = usages
        self._node_id = node_id
        self._metadata = metadata
        self._publisher = publisher
        self._keys = keys
        # One pool for all: nothing here looks into a volume, so none can hold up another's calls.
        self._pool = executor.BoundedExecutor("oss", _THREADS)
        self._diagnoses = diagnosis.Diagnoses()
        self._looks = looks.Looks()
        self._reads = shared_reads.SharedReads("oss-stats", _HANGING_MAX)
        self._locks = keyed_lock.KeyedLock()

    async def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: Any
    ) -> csi_pb2.NodeStageVolumeResponse:
        requests.require("volume_id", request.volume_id)
        told = requests.path("staging_target_path", request.staging_target_path)
        paths.resolve_under(self._settings.kubelet_root, told, "staging_target_path")
        node_requests.parse_capability(request.volume_capability)
        requests.check_secrets(request.secrets)
        return csi_pb2.NodeStageVolumeResponse()

    async def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        at = at_path.parse_unstage(request, self._settings.kubelet_root)
        with self._locks.hold(at.volume_id):
            await self._pool.run(self._publisher.unstage, at.volume_id)
        return csi_pb2.NodeUnstageVolumeResponse()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Any
    ) -> csi_pb2.NodePublishVolumeResponse:
        want = await self._parse_publish(request)
        with self._locks.hold(want.volume_id, str(want.target_path)):
            await self._publish(want)
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Any
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        at = at_path.parse_unpublish(request, self._settings.kubelet_root)
        with self._locks.hold(at.volume_id, str(at.path)):
            await self._pool.run(self._publisher.unpublish, at)
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Any
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        at = at_path.parse_stats(request, self._settings.kubelet_root)
        answer = await network_stats.read(self._usage(at), well=_WELL)
        if answer.volume_condition.abnormal:
            told = await self._pool.run(self._publisher.describe, at.volume_id)
            told += "; the pod sees it again after the next publish" if told else ""
            answer.volume_condition.message += f"; {told}" if told else ""
        elif (counted := self._usages.find(at.volume_id)) is not None:
            well = volume_stats.Condition(abnormal=False, message=_WELL)
            return volume_stats.response(well, usage=counted)
        return answer

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Any
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        return answers.node_capabilities(CAPABILITIES)

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Any
    ) -> csi_pb2.NodeGetInfoResponse:
        if not self._node_id:
            raise errors.Precondition("the node's name is unknown; set KUBE_NODE_NAME or --nodeid")
        return csi_pb2.NodeGetInfoResponse(node_id=self._node_id)

    async def close(self) -> None:
        """Take no more work; what runs ends in its own time."""
        self._pool.close()
        self._keys.close()
        self._diagnoses.close()
        self._reads.close()
        self._looks.close()

    async def _usage(self, at: at_path.AtPath) -> nfs.Usage:
        """What the client tells. Each volume has its own, which may hang."""
        return await self._reads.read(
            at.volume_id,
            network_stats.ANSWER_LIMIT_S,
            self._looks.usage,
            at.path,
            timeout_s=network_stats.LOOK_LIMIT_S,
        )

    async def _publish(self, want: node_requests.Publishing) -> None:
        """Publish, and tell what is wrong in better words than the client's."""
        pod = await self._pod_role(want)
        if pod is not None:
            key = await self._keys.of_pod(want.volume_id, pod)
            want = dataclasses.replace(want, credential=key)
        try:
            await self._pool.run(self._publisher.publish, want)
        except mounters.MountFailed as e:
            wanted = functools.partial(self._publisher.as_client, want)
            found = await self._diagnoses.find(wanted)
            if not found:
                raise
            raise mounters.MountFailed(f"volume {want.volume_id} cannot be mounted: {found}") from e

    async def _pod_role(self, want: node_requests.Publishing) -> roles.PodRole | None:
        """What the pod may become: by ARNs, or by the names that ACK gives them."""
        rrsa = want.volume.rrsa
        if rrsa is None:
            return None
        role_arn, provider = rrsa.role_arn, rrsa.oidc_provider_arn
        if not role_arn:
            account = await self._metadata.get(cloud_metadata.Key.ACCOUNT_ID)
            cluster = await self._metadata.get(cloud_metadata.Key.CLUSTER_ID)
            role_arn = f"acs:ram::{account}:role/{rrsa.role_name.lower()}"
            provider = f"acs:ram::{account}:oidc-provider/ack-rrsa-{cluster}"
        return roles.PodRole(
            role_arn=role_arn,
            oidc_provider_arn=provider,
            assume_role_arn=rrsa.assume_role_arn,
            external_id=rrsa.external_id,
            token=want.pod_token,
        )

    async def _parse_publish(
        self, request: csi_pb2.NodePublishVolumeRequest
    ) -> node_requests.Publishing:
        """What is wrong with the request itself is told before the metadata service is asked."""
        told = requests.string_map("volume_context", request.volume_context)
        context = await self._objects.context(told)
        secrets = await self._objects.secrets(told, request.secrets)
        parse = functools.partial(
            node_requests.parse_publish, request, self._settings, secrets=secrets
        )
        checked = bucket_space.stand_in(context)
        want = parse(region_id=_NOT_ASKED, context=checked)
        needs_region = want.volume.region == _NOT_ASKED
        if checked == context and not needs_region:
            return want
        region_id = await self._metadata.find(cloud_metadata.Key.REGION_ID) if needs_region else ""
        return parse(
            region_id=region_id or "",
            context=await bucket_space.resolve(self._metadata, context),
        )


def build(context: driver.DriverContext) -> NodeServicer:
    """The Node service of this process. Faults in its settings are left in *context.reader*."""
    settings = node_settings.read_node(context.reader)
    usages = usage.Usages(delay_s=usage.LATER_S)
    keys = roles.Roles(settings.imds)
    publisher = publish.Publisher(
        mounters.Mounters(settings),
        keys,
        usages,
        context.events,
        settings.work_dir,
    )
    return NodeServicer(
        settings,
        node_id=context.node_id or context.reader.text("KUBE_NODE_NAME"),
        metadata=context.metadata,
        publisher=publisher,
        keys=keys,
        kubernetes=objects.Objects(context.kubernetes, settings.secret_namespace),
        usages=usages,
    )
