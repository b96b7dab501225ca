"""The node's namespace as the datapath works in it: its socket, its deleter, the way into pods."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from core import errors
from host import netlink, netns, rtnl_read
from ipamd.datapath import deleter, model

_NOT_THERE = frozenset((errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EAFNOSUPPORT))
_GONE_TIMEOUT_S = 10.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodNetns:
    """A pod's namespace. asking: a socket in it. run: calls with the thread in it."""

    fd: int
    asking: netlink.Socket
    run: Callable[[Callable[[], None]], None]


class Node:
    """The namespace of the thread that makes it, which is the only one to use it."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as undo:
            self._home_fd = netns.open_own()
            undo.callback(os.close, self._home_fd)
            self.asking = netlink.Socket()
            undo.callback(self.asking.close)
            self._deleter = deleter.Deleter()
            undo.callback(self._deleter.close)
            self._closing = undo.pop_all()

    def close(self) -> None:
        """Wait for deletions under way and free all descriptors."""
        self._closing.close()

    @contextlib.contextmanager
    def pod(self, path: pathlib.Path) -> Iterator[PodNetns]:
        """The namespace at *path*, for the length of the block; the thread stays here.

        Raises NetnsGone, and Precondition when it is the node's own.
        """
        with contextlib.ExitStack() as stack:
            try:
                fd = stack.enter_context(netns.opened(path))
            except netns.NotNetns as e:
                raise model.NetnsGone(path) from e
            if netns.is_same(fd, self._home_fd):
                raise errors.Precondition(f"{path} is the node's own network namespace")
            asking = netns.call_in(fd, self._home_fd, netlink.Socket)
            stack.callback(asking.close)
            yield PodNetns(
                fd=fd,
                asking=asking,
                run=lambda call: netns.call_in(fd, self._home_fd, call),
            )

    def delete_link(self, index: int) -> concurrent.futures.Future[None]:
        """Delete a link in the background; done when it and its peer are gone."""
        return self._deleter.delete(index)

    def delete_link_now(self, index: int) -> None:
        """Return when a link and its peer are gone. Raises Refused, Unavailable."""
        try:
            self._deleter.delete(index).result(_GONE_TIMEOUT_S)
        except TimeoutError as e:
            raise errors.Unavailable(f"link {index} is still there") from e

    def delete_own(self, ifname: str, index: int) -> None:
        """Delete the link of this name if it has this index too: another one is not ours."""
        link = rtnl_read.read_link(self.asking, ifname)
        if link is not None and link.index == index:
            self.delete_link_now(index)

    def try_all(self, requests: Sequence[netlink.Request]) -> list[netlink.Ack]:
        """Send deletions; what is not there is fine. Raises Refused, after all were tried."""
        acks = self.asking.exchange(requests)
        netlink.require(acks, fine=_NOT_THERE)
        return acks
