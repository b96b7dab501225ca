"""The controller half of the OSS driver, put together."""

from cloud import oss
from cloud import settings as cloud_settings
from csi import driver
from csi.oss.controller import service, storage, volumes


def build(context: driver.DriverContext) -> service.ControllerServicer:
    """The service of this process. Faults in the settings are left in *context.reader*.

    `OSS_ENDPOINT` is ours: an endpoint for all buckets, of a private cloud.
    """
    reader = context.reader
    told = cloud_settings.read_cloud(reader)

    def open_bucket(
        *, url: str, region_id: str, name: str, key: storage.Secret | None
    ) -> storage.Bucket:
        def read_key() -> oss.Key:
            if key is not None:
                return oss.Key(key_id=key.key_id, secret=key.secret, token=key.token)
            found = context.cloud().credential()
            return oss.Key(
                key_id=found.access_key_id,
                secret=found.access_key_secret,
                token=found.security_token,
            )

        return oss.Bucket(url=url, region_id=region_id, name=name, key=read_key)

    return service.ControllerServicer(
        volumes.Volumes(
            open_bucket,
            region_id=told.region_id,
            endpoint_url=reader.text("OSS_ENDPOINT"),
            over_vpc=told.vpc_network,
        ),
        context.kubernetes,
        context.metadata,
    )
