"""The legacy types of 0.14, and what the store and the URLs have to know of each."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.lab.gateway import legacy_apis, legacy_credentials, legacy_plugins, legacy_upstreams
from pipeline.lab.gateway.fields import ID
from pipeline.lab.gateway.legacy_schema import LegacyType
from pipeline.lab.gateway.schema import LIST_METHODS, PAGE_METHODS, Field, Kind, Methods, Schema

_COLLECTION = ("GET", "HEAD", "OPTIONS", "POST", "PUT")
_ENTITY = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH")
_NO_PARENT: frozenset[str] = frozenset()


def _refers(name: str, reference: str, *, dangling: bool = False) -> Field:
    return Field(name=name, kind=Kind.FOREIGN, reference=reference, cascades=True, dangling=dangling)


TABLES = (
    Schema(
        name="apis",
        fields=(ID, Field(name="name", unique=True)),
        methods=Methods(list=_COLLECTION, item=_ENTITY),
    ),
    Schema(
        name="plugins",
        endpoint_key=None,
        fields=(
            ID,
            _refers("api_id", "apis"),
            _refers("route_id", "routes", dangling=True),
            _refers("service_id", "services", dangling=True),
            _refers("consumer_id", "consumers"),
        ),
        unique_together=("name", "api_id", "route_id", "service_id", "consumer_id"),
        methods=Methods(
            list=_COLLECTION,
            item=_ENTITY,
            nested_list=_COLLECTION,
            nested_item=_ENTITY,
            nested_item_under=frozenset({"apis", "consumers"}),
            parents=_NO_PARENT,
        ),
    ),
    Schema(
        name="upstreams",
        fields=(ID, Field(name="name", unique=True)),
        methods=Methods(list=_COLLECTION, item=_ENTITY),
    ),
    Schema(
        name="targets",
        fields=(ID, _refers("upstream_id", "upstreams")),
        top_level=False,
        methods=Methods(nested_list=LIST_METHODS, nested_item=("DELETE", "HEAD", "OPTIONS"), parents=_NO_PARENT),
    ),
    *(
        Schema(
            name=name,
            path=path,
            nested_name=nested,
            fields=(ID, _refers("consumer_id", "consumers"), *(Field(name=field, unique=True) for field in unique)),
            unique_together=("consumer_id", "group") if name == "acls" else (),
            methods=Methods(
                list=PAGE_METHODS,
                item=(),
                nested_list=_COLLECTION,
                nested_item=_ENTITY,
                parent=PAGE_METHODS,
            ),
        )
        for name, path, nested, unique in (
            ("keyauth_credentials", "key-auths", "key-auth", ("key",)),
            ("basicauth_credentials", "basic-auths", "basic-auth", ("username",)),
            ("hmacauth_credentials", "hmac-auths", "hmac-auth", ("username",)),
            ("jwt_secrets", "jwts", "jwt", ("key",)),
            ("acls", "acls", "acls", ()),
            ("oauth2_credentials", "oauth2", "oauth2", ("client_id",)),
        )
    ),
)

LEGACY: Mapping[str, LegacyType] = {
    legacy.name: legacy
    for legacy in (
        legacy_apis.APIS,
        legacy_plugins.PLUGINS,
        legacy_upstreams.UPSTREAMS,
        legacy_upstreams.TARGETS,
        *legacy_credentials.CREDENTIALS,
    )
}
