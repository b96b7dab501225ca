"""CreateVolume and DeleteVolume: where a volume is, and what is made for it."""

import dataclasses
from collections.abc import Mapping

from core import errors, executor
from csi.oss import endpoint, volume_context
from csi.oss.controller import params, places, provision, storage
from csi.oss.controller.params import VolumeAs
from csi.oss.controller.places import DeletePolicy

_THREADS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A volume. context: for the node."""

    volume_id: str
    capacity_bytes: int
    context: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A volume called *name*. place: what must be made for it, None = nothing."""

    name: str
    volume: Made
    place: places.Place | None


class Volumes:
    """Makes and deletes volumes; the callers hold the volume's lock.

    endpoint_url: "" = Alibaba's, by region. over_vpc: inside the VPC.
    """

    def __init__(
        self, open_bucket: storage.Open, *, region_id: str, endpoint_url: str, over_vpc: bool
    ) -> None:
        self._open = open_bucket
        self._region_id = region_id
        self._endpoint_url = endpoint_url
        self._over_vpc = over_vpc
        self._told: dict[str, Made] = {}
        self._pool = executor.BoundedExecutor("oss-provision", _THREADS)

    async def create(self, plan: Plan, key: storage.Secret | None) -> Made:
        """The volume of *plan*. Raises Exists for the same name with other wishes."""
        made, place = plan.volume, plan.place
        there = self._told.get(made.volume_id)
        if there is not None and there != made:
            raise errors.Exists(
                f"volume {plan.name} exists with another size or another class; delete it, or ask "
                "for the same again"
            )
        if place is not None:
            work = provision.make_directory if place.path else provision.make_bucket
            bucket = self._bucket(place, made.context["url"], key)
            await self._pool.run(work, bucket, place, plan.name, made.capacity_bytes)
        self._told[made.volume_id] = made
        return made

    async def delete(self, volume_id: str, key: storage.Secret | None) -> None:
        """Do with the data of *volume_id* what its class said; again = go on."""
        place = places.parse(volume_id)
        if place is not None:
            work = provision.remove_directory if place.path else provision.remove_bucket
            await self._pool.run(work, self._bucket(place, "", key), place)
        self._told.pop(volume_id, None)

    async def exists(self, volume_id: str, key: storage.Secret | None) -> bool:
        """Whether the volume is known: made by this process, or by its mark in the cloud."""
        place = places.parse(volume_id)
        if place is None:
            return volume_id in self._told
        bucket = self._bucket(place, "", key)
        if place.path:
            return await self._pool.run(bucket.read_marker, place.marker) is not None
        return await self._pool.run(bucket.read_tags) is not None

    async def close(self) -> None:
        """Take no more work."""
        self._pool.close()

    def plan(self, name: str, size_bytes: int, given: params.Parameters) -> Plan:
        """What makes the volume *name* of a class. Pure. Raises InvalidField, Unsupported."""
        context = {
            key: value for key, value in given.context.items() if key.strip().lower() != "path"
        }
        if given.volume_as is VolumeAs.BUCKET:
            context["bucket"] = places.bucket_name(given.bucket_prefix, name)
        volume = volume_context.parse({**context, "path": given.path})
        place = places.Place(
            policy=given.policy,
            region_id=volume.region or self._region_id,
            bucket=volume.bucket,
            path="" if given.volume_as is VolumeAs.BUCKET else given.path.strip("/"),
        )
        if given.volume_as is VolumeAs.SUBPATH:
            place = places.below(place, name)
        context["path"] = f"/{place.path}" if place.path else given.path
        if given.policy is DeletePolicy.RETAIN and given.volume_as is not VolumeAs.BUCKET:
            return Plan(name, Made(name, size_bytes, context), None)
        context["url"] = volume.url
        volume_id = name if given.policy is DeletePolicy.RETAIN else place.volume_id
        return Plan(name, Made(volume_id, size_bytes, context), place)

    def _bucket(self, place: places.Place, url: str, key: storage.Secret | None) -> storage.Bucket:
        region_id = place.region_id or self._region_id
        if not region_id:
            raise errors.Precondition("the bucket's region is unknown; set region, or REGION_ID")
        where = self._endpoint_url or url or f"oss-{region_id}.aliyuncs.com"
        return self._open(
            url=endpoint.normalise(where, bucket=place.bucket, over_vpc=self._over_vpc),
            region_id=region_id,
            name=place.bucket,
            key=key,
        )
