"""The metadata service of the instances, versions 1 and 2 (spec/cloud-api.md 7).

Values are plain text without a trailing newline; a directory lists one name a line. Which instance
answers: the one chosen over the control API, else the one whose address the client has, on
any interface, else the first of the world. An unknown address is not refused, because on one
machine most clients come from 127.0.0.1.
"""

import dataclasses
import functools
import json
import urllib.parse
from collections.abc import Mapping

from sim import clock, identity, imds_tree
from sim import cloud as cloud_module
from sim import world as world_module
from sim.ecs import eni_model

ROOTS = ("latest", "2016-01-01")
_TOKEN_KIND = "imds_token"  # noqa: S105 - name of a row kind
_CREDENTIAL_KIND = "imds_credential"
_LONGEST_TTL_S = 21600
_SESSION_S = 6 * 3600
_TTL_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
_TOKEN_HEADER = "x-aliyun-ecs-metadata-token"  # noqa: S105 - name of a header


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """An answer."""

    status: int
    body: str


_NOT_FOUND = Text(status=404, body="404 - Not Found")


class Metadata:
    """Answers metadata requests out of the world."""

    def __init__(self, cloud: cloud_module.Cloud) -> None:
        self._cloud = cloud

    def choose(self, instance_id: str) -> None:
        """Answer for *instance_id* whoever asks, also after a restart; "" ends that."""
        self._cloud.remember("imds", {"instance_id": instance_id})

    def answer(
        self, *, method: str, path: str, headers: Mapping[str, str], client_address: str
    ) -> Text:
        """The answer to one request.

        path: decoded, from `/latest` or `/2016-01-01` on. headers: names in lower case.
        400 bad ttl, 401 bad or expired token, 403 no token where one is required, 404, 405.
        """
        instance = self._instance(client_address)
        if instance is None:
            return _NOT_FOUND
        parts = urllib.parse.unquote(path).split("/")[2:]
        if parts == ["api", "token"]:
            return self._make_token(method, headers, instance)
        if method not in {"GET", "HEAD"}:
            return Text(status=405, body="405 - Method Not Allowed")
        refusal = self._check_token(headers, instance)
        if refusal is not None:
            return refusal
        return self._read(parts, instance)

    def _instance(self, client_address: str) -> world_module.Instance | None:
        world = self._cloud.world
        chosen = world.instance(self._cloud.setting("imds").get("instance_id", ""))
        if chosen is not None:
            return chosen
        rows = world.instances
        by_address = (row for row in rows if row.private_ip == client_address)
        return next(by_address, self._owner(client_address) or (rows[0] if rows else None))

    def _owner(self, address: str) -> world_module.Instance | None:
        """The instance one of whose interfaces has *address*."""
        for row in self._cloud.store.all(eni_model.KIND):
            eni = eni_model.Eni.from_row(row)
            if eni.instance_id and address in (*eni.ips, *eni.ipv6s):
                return self._cloud.world.instance(eni.instance_id)
        return None

    def _make_token(
        self, method: str, headers: Mapping[str, str], instance: world_module.Instance
    ) -> Text:
        if method != "PUT":
            return Text(status=405, body="405 - Method Not Allowed")
        # A token asked for through a proxy could be handed to somebody outside the instance.
        if "x-forwarded-for" in headers:
            return Text(status=403, body="403 - Forbidden: X-Forwarded-For is not accepted")
        ttl = headers.get(_TTL_HEADER, "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= _LONGEST_TTL_S:
            return Text(status=400, body=f"400 - Bad Request: {_TTL_HEADER} must be 1 to 21600")
        token = self._cloud.ids.secret(56)
        now_s = self._cloud.clock.now_s()
        store = self._cloud.store
        with store.transaction(news=False):
            for old, row in store.items(_TOKEN_KIND):
                if row["until_s"] <= now_s:
                    store.delete(_TOKEN_KIND, old)
            row = {"until_s": now_s + int(ttl), "instance_id": instance.instance_id}
            store.put(_TOKEN_KIND, token, row)
        return Text(status=200, body=token)

    def _check_token(
        self, headers: Mapping[str, str], instance: world_module.Instance
    ) -> Text | None:
        """The refusal, None when the request may pass."""
        token = headers.get(_TOKEN_HEADER, "")
        if not token:
            if instance.http_tokens == "required":
                return Text(status=403, body="403 - Forbidden: this instance requires a token")
            return None
        row = self._cloud.store.get(_TOKEN_KIND, token)
        fresh = row is not None and row["until_s"] > self._cloud.clock.now_s()
        if row is None or not fresh or row["instance_id"] != instance.instance_id:
            return Text(status=401, body="401 - Unauthorized")
        return None

    def _read(self, parts: list[str], instance: world_module.Instance) -> Text:
        node: imds_tree.Tree | imds_tree.Leaf = self._tree(instance)
        is_directory = parts[-1:] in ([], [""])
        for name in parts[:-1] if is_directory else parts:
            if not isinstance(node, dict) or name not in node:
                return _NOT_FOUND
            node = node[name]
        if isinstance(node, dict):
            rows = (name + ("/" if isinstance(row, dict) else "") for name, row in node.items())
            return Text(status=200, body="\n".join(rows)) if node else _NOT_FOUND
        if is_directory:
            return _NOT_FOUND
        return Text(status=200, body=node if isinstance(node, str) else node())

    def _tree(self, instance: world_module.Instance) -> imds_tree.Tree:
        document = imds_tree.identity_document(self._cloud.world, instance)
        return {
            "meta-data": {
                **imds_tree.meta_data(self._cloud.world, instance, self._enis(instance)),
                "ram": {"security-credentials": self._roles(instance)},
            },
            "dynamic": {
                "instance-identity": {"document": json.dumps(document, separators=(",", ":"))}
            },
            "maintenance": {"active-system-events": "[]"},
        }

    def _enis(self, instance: world_module.Instance) -> list[eni_model.Eni]:
        """Interfaces that are plugged in, as far as the service knows yet."""
        rows = self._cloud.metadata_view.by(eni_model.KIND, "instance_id", instance.instance_id)
        found = [eni_model.Eni.from_row(row) for row in rows]
        # A member interface has no link of its own in the instance, so nothing is told of it.
        return [
            eni for eni in found if eni.status == eni_model.IN_USE and eni.type != eni_model.MEMBER
        ]

    def _roles(self, instance: world_module.Instance) -> imds_tree.Tree:
        """The instance's role, when it has one that trusts ECS."""
        world, name = self._cloud.world, instance.ram_role
        role = identity.find_role(world, identity.role_arn(world, name))
        if role is None or "ecs.aliyuncs.com" not in role.trusted_services:
            return {}
        return {name: functools.partial(self._credentials, instance.instance_id, role)}

    def _credentials(self, instance_id: str, role: world_module.Role) -> str:
        """Credentials of the instance's role as JSON; the same ones until half their life is over.

        They live six hours, as the real ones do, so clients are spared needless renewals.
        """
        now_s = self._cloud.clock.now_s()
        key = f"{instance_id}/{role.role_name}"
        row = self._cloud.store.get(_CREDENTIAL_KIND, key)
        if row is not None and row["renew_s"] > now_s:
            return str(row["body"])
        with self._cloud.store.transaction(news=False):
            made = identity.issue(
                self._cloud,
                role,
                session_name=f"vm-ecs-{instance_id}",
                duration_s=_SESSION_S,
            )
            extra = {"LastUpdated": clock.text(now_s), "Code": "Success"}
            body = json.dumps({**made.body(), **extra}, indent=2)
            fresh = {"renew_s": now_s + _SESSION_S / 2, "body": body}
            self._cloud.store.put(_CREDENTIAL_KIND, key, fresh)
        return body
