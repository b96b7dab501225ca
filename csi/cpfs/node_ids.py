"""Node ids, which tell how a node reaches CPFS. Pure. Source: spec/csi-driver.md 4.2."""

import dataclasses
import enum
from typing import Self


class Reach(enum.StrEnum):
    """The prefix of a node id."""

    LINGJUN = "lingjun"  # a Lingjun machine; name is its node id there
    VSC = "vsc"  # an ECS instance with storage channels; name is its instance id
    COMMON = "common"  # any other, through the VPC; name is the Kubernetes node's


@dataclasses.dataclass(frozen=True, slots=True)
class NodeId:
    """A node as kubelet and we call it."""

    reach: Reach
    name: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Inverse of str(), None for an id that no node of this driver has."""
        prefix, _, name = text.partition(":")
        if prefix not in list(Reach) or not name:
            return None
        return cls(Reach(prefix), name)

    def __str__(self) -> str:
        return f"{self.reach}:{self.name}"
