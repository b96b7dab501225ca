"""What a datapath is: everything that differs from one way of wiring pods to another.

What a pod has (`model.Wiring`) is decided elsewhere; which kernel objects that makes is decided
here, and known nowhere else. Who calls it is `ipamd.node_worker`.
"""

import concurrent.futures
from typing import Protocol

from ipamd.datapath import model


class Datapath(Protocol):
    """Blocking, and for one thread only, whose network namespace is the node's."""

    def prepare_eni(self, eni: model.Eni) -> model.EniLink | None:
        """Make an ENI ready for pods, again if need be; None while the kernel does not have it.

        Raises Precondition for the node's primary interface, Internal.
        """
        ...

    def wire(self, wiring: model.Wiring) -> model.Wired:
        """Make a pod's interface; made already and unchanged, answer the same.

        A link left over under its name is replaced. On any failure nothing stays behind. Raises
        NetnsGone, EniGone, Precondition when the pod has another link of that name, Internal,
        Unavailable.
        """
        ...

    def unwire(self, unwiring: model.Unwiring) -> "concurrent.futures.Future[None]":
        """Take away all that `wire` made; done when it is gone, and its address may be given away.

        Never what is another attachment's. Nothing there = done at once. Raises Internal; the
        future fails with Internal, Unavailable.
        """
        ...

    def check(self, wiring: model.Wiring) -> list[model.Difference]:
        """What is not as `wire` made it, on the node and in the pod; [] = all is."""
        ...

    def repair_node(self, wiring: model.Wiring) -> list[model.Difference]:
        """Mend the node's half, as far as it can be from there; what was wrong and is right now."""
        ...
