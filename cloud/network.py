"""The cloud as a pod network needs it: interfaces, vSwitches, instances; nothing of storage."""

from cloud import account, ecs_eni, ecs_instance, vpc
from cloud import settings as cloud_settings
from core import clock, metrics


class Network(account.Account):
    """ECS: `enis`, `instances`. VPC: `vswitches`."""

    def __init__(
        self,
        settings: cloud_settings.CloudSettings,
        registry: metrics.Metrics,
        time: clock.Clock,
    ) -> None:
        super().__init__(settings, registry, time)
        self.enis = ecs_eni.Enis(self._api)
        self.instances = ecs_instance.Instances(self._api, time)
        self.vswitches = vpc.VSwitches(self._api)
