"""kubectl, for tests: what it prints, objects as dictionaries, and waiting."""

import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support import image

_CALL_S = 120.0
_POLL_S = 0.1


class Refused(RuntimeError):
    """kubectl failed; the message is what it said."""


class Kubectl:
    """program: the script that `up` writes.

    validates: False = objects are not checked here against the server's schemas. kubectl gives the
    server 32 s to tell them all, which a slow one does not keep.
    """

    def __init__(self, program: pathlib.Path, *, validates: bool = True) -> None:
        self._program = program
        self._apply = [
            "apply",
            *([] if validates else ["--validate=false", "--openapi-patch=false"]),
        ]

    def __call__(self, *words: str, stdin: str = "", timeout_s: float = _CALL_S) -> str:
        """What `kubectl words…` prints. Raises Refused with what it says when it fails."""
        done = subprocess.run(
            [str(self._program), *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if done.returncode != 0:
            raise Refused(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create or change objects."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self(*self._apply, "-f", "-", stdin=json.dumps(items))

    def apply_files(self, path: pathlib.Path, namespace: str = "default") -> None:
        """The same from a file, or all files of a directory."""
        self(*self._apply, "-n", namespace, "-f", str(path))

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One object. Raises Refused when it is not there."""
        found: dict[str, Any] = json.loads(self("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def list(self, kind: str, *words: str) -> "list[dict[str, Any]]":
        """Objects of all namespaces. words: more for kubectl, such as a selector."""
        told = json.loads(self("get", kind, "-A", "-o", "json", *words))
        items: list[dict[str, Any]] = told["items"]
        return items

    def wait(
        self, kind: str, name: str, condition: str, *, namespace: str = "default", limit_s: float
    ) -> None:
        """`kubectl wait --for=condition`; what is not there yet is waited for too.

        Raises Refused when it does not come about.
        """
        words = ["wait", kind, name, "-n", namespace, f"--for={condition}"]
        give_up_s = time.monotonic() + limit_s
        while True:
            left_s = give_up_s - time.monotonic()
            try:
                self(*words, f"--timeout={max(left_s, 0.1):.1f}s", timeout_s=left_s + _CALL_S)
            except Refused as refused:
                if "NotFound" not in str(refused) or left_s <= 0:
                    raise
                time.sleep(_POLL_S)
            else:
                return


def wait_until(what: str, holds: Callable[[], bool], limit_s: float) -> None:
    """Ask *holds* until it does. Raises TimeoutError with *what*, which reads as a sentence."""
    give_up_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"not so after {limit_s:g} s: {what}")
        time.sleep(_POLL_S)


def pod(name: str, command: Sequence[str], **spec: Any) -> dict[str, Any]:
    """A pod of one container that ends at once when it is deleted. spec: more of its fields.

    `container` in *spec*: more fields of the container.
    """
    container = {
        "name": "main",
        "image": image.NAME,
        "imagePullPolicy": "Never",
        "command": list(command),
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "dnsPolicy": "Default",  # the cluster has no name server
            **spec,
        },
    }
