"""The groups of the API that work on a site: data, table, model, provider, permission, app, site, server."""

from __future__ import annotations

import json
import os
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from norn import archive, frames
from norn.errors import ConfigurationError
from norn.groups import Group, Path
from norn.jobs import Job
from norn.transport import JsonObject, TransferCallback

META_KEYS = (
    "sample_id_name",
    "match_id_name",
    "match_id_list",
    "match_id_range",
    "label_name",
    "label_type",
    "weight_name",
    "weight_type",
    "header",
    "delimiter",
    "dtype",
    "na_values",
    "input_format",
    "tag_with_value",
    "tag_value_delimiter",
)


def table_meta(sample_id: str, label: Optional[str] = None, **more: Any) -> JsonObject:
    """The description of a CSV file for an upload: its sample id, which is the match id unless match_id_name says
    otherwise, the label if there is one, and any of META_KEYS."""
    meta: JsonObject = {"sample_id_name": sample_id, "match_id_name": sample_id}
    if label is not None:
        meta["label_name"] = label
    for key, value in more.items():
        if key not in META_KEYS:
            raise ConfigurationError(f"meta has no key '{key}'; known are {', '.join(META_KEYS)}")
        meta[key] = value
    return meta


class DataGroup(Group):
    """/v2/data: tables in and out."""

    def _job(self, answer: Mapping[str, Any]) -> Job:
        return Job(self._client, str(answer["job_id"]))

    def upload(
        self,
        source: Union[Path, IO[bytes]],
        namespace: str,
        name: str,
        meta: Mapping[str, Any],
        *,
        head: bool = True,
        partitions: int = 4,
        extend_sid: bool = False,
        progress: Optional[TransferCallback] = None,
    ) -> Job:
        """Sends a CSV file, or a seekable binary stream, in pieces. The job turns it into the table.

        meta: see table_meta(). Wait for the job before using the table.
        """
        fields = {
            "head": str(head),
            "partitions": str(partitions),
            "meta": json.dumps(dict(meta)),
            "extend_sid": str(extend_sid),
            "namespace": namespace,
            "name": name,
        }
        route = "/v2/data/component/upload/file"
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as f:
                return self._job(self._t.send_file(route, fields, os.fspath(source), f, progress))
        return self._job(self._t.send_file(route, fields, f"{name}.csv", source, progress))

    def upload_server_file(
        self,
        file: str,
        meta: Mapping[str, Any],
        namespace: Optional[str] = None,
        name: Optional[str] = None,
        *,
        head: bool = True,
        partitions: int = 4,
        extend_sid: bool = False,
    ) -> Job:
        """A file that the node can read itself, by its path there."""
        body = {
            "file": file,
            "head": head,
            "partitions": partitions,
            "meta": dict(meta),
            "extend_sid": extend_sid,
            "namespace": namespace,
            "name": name,
        }
        body = {k: v for k, v in body.items() if v is not None}
        return self._job(self._t.envelope("POST", "/v2/data/component/upload", body=body))

    def upload_pandas(
        self, frame: Any, namespace: str, name: str, meta: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Job:
        """Uploads a DataFrame; its index is the sample id unless meta says otherwise. Needs pandas."""
        import tempfile

        frames.pandas()
        index = str(frame.index.name or "id")
        with tempfile.TemporaryFile() as f:
            frame.to_csv(f, index=True, index_label=index)
            f.seek(0)
            return self.upload(f, namespace, name, meta if meta is not None else table_meta(index), **more)

    def transform(
        self,
        source_namespace: str,
        source_name: str,
        namespace: str,
        name: str,
        *,
        site_name: Optional[str] = None,
        drop: bool = True,
    ) -> Job:
        """Makes a data frame of a raw table."""
        body = {
            "data_warehouse": {"namespace": source_namespace, "name": source_name},
            "namespace": namespace,
            "name": name,
            "drop": drop,
        }
        if site_name is not None:
            body["site_name"] = site_name
        return self._job(self._t.envelope("POST", "/v2/data/component/dataframe/transformer", body=body))

    def download_to_server(self, namespace: str, name: str, path: str) -> Job:
        """Writes a table as a file of the node."""
        body = {"namespace": namespace, "name": name, "path": path}
        return self._job(self._t.envelope("POST", "/v2/data/component/download", body=body))

    def download(self, namespace: str, name: str, path: Path, *, progress: Optional[TransferCallback] = None) -> int:
        """Saves a table as tar.gz with data/0.csv and data/0.meta, whole or not at all; its bytes."""
        q = {"namespace": namespace, "name": name}
        with self._t.open_file("/v2/data/download", query=q, progress=progress) as a:
            return a.save(os.fspath(path))

    def rows(self, namespace: str, name: str) -> Iterator[Dict[str, str]]:
        """The rows of a table, as they come; cells are texts."""
        q = {"namespace": namespace, "name": name}
        with self._t.open_file("/v2/data/download", query=q) as a:
            yield from archive.rows(a, lambda _: True, f"table {namespace}/{name}")

    def to_pandas(self, namespace: str, name: str) -> Any:
        """A table as a DataFrame with the sample id as index; needs pandas."""
        frames.pandas()
        return frames.from_rows(self.rows(namespace, name))


class TableGroup(Group):
    """/v2/table"""

    def query(self, namespace: str, name: str, *, display: bool = False) -> JsonObject:
        return dict(self._t.get("/v2/table/query", namespace=namespace, name=name, display=display))

    def delete(self, namespace: str, name: str) -> None:
        self._t.post("/v2/table/delete", namespace=namespace, name=name)

    def bind_path(self, namespace: str, name: str, path: str) -> None:
        self._t.post("/v2/table/bind/path", namespace=namespace, name=name, path=path)


class ModelGroup(Group):
    """/v2/model"""

    def export(self, model_id: str, model_version: str, role: str, party_id: str, path: str) -> None:
        """Writes the model as a zip file into a directory of the node."""
        self._t.post(
            "/v2/model/export",
            model_id=model_id,
            model_version=model_version,
            role=role,
            party_id=party_id,
            path=path,
        )

    def import_model(
        self,
        model_id: str,
        model_version: str,
        source: Union[Path, IO[bytes]],
        *,
        progress: Optional[TransferCallback] = None,
    ) -> None:
        """Sends an exported model under this id and version."""
        fields = {"model_id": model_id, "model_version": model_version}
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as f:
                self._t.send_file("/v2/model/import", fields, os.fspath(source), f, progress)
        else:
            self._t.send_file("/v2/model/import", fields, "model.zip", source, progress)

    def delete(
        self,
        model_id: str,
        model_version: str,
        *,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        task_name: Optional[str] = None,
        output_key: Optional[str] = None,
    ) -> None:
        self._t.post(
            "/v2/model/delete",
            model_id=model_id,
            model_version=model_version,
            role=role,
            party_id=party_id,
            task_name=task_name,
            output_key=output_key,
        )


class ProviderGroup(Group):
    """/v2/provider: where components come from."""

    def register(
        self,
        name: str,
        version: str,
        metadata: Mapping[str, Any],
        components: Optional[Mapping[str, Any]] = None,
        *,
        device: str = "local",
        protocol: Optional[str] = None,
    ) -> None:
        """components: {name: description}, as `python -m norn.component describe` prints them."""
        self._t.post(
            "/v2/provider/register",
            idempotent=True,  # the same again changes nothing
            name=name,
            version=version,
            device=device,
            metadata=dict(metadata),
            protocol=protocol,
            components_description=None if components is None else dict(components),
        )

    def query(
        self,
        name: Optional[str] = None,
        *,
        version: Optional[str] = None,
        device: Optional[str] = None,
        provider_name: Optional[str] = None,
    ) -> List[JsonObject]:
        found = self._t.get(
            "/v2/provider/query", name=name, version=version, device=device, provider_name=provider_name
        )
        return list(found or [])

    def delete(
        self,
        name: Optional[str] = None,
        *,
        version: Optional[str] = None,
        device: Optional[str] = None,
        provider_name: Optional[str] = None,
    ) -> bool:
        return bool(
            self._t.post("/v2/provider/delete", name=name, version=version, device=device, provider_name=provider_name)
        )

    def components(self) -> JsonObject:
        """{component: description} of everything registered."""
        return dict(self._t.get("/v2/component/list") or {})


class PermissionGroup(Group):
    """/v2/permission"""

    def grant(self, app_id: str, role: str) -> bool:
        return bool((self._t.post("/v2/permission/grant", app_id=app_id, role=role) or {}).get("status"))

    def delete(self, app_id: str, role: str) -> bool:
        return bool((self._t.post("/v2/permission/delete", app_id=app_id, role=role) or {}).get("status"))

    def query(self, app_id: str) -> JsonObject:
        """{role: [[role, path, method]]}"""
        return dict(self._t.get("/v2/permission/query", app_id=app_id) or {})

    def roles(self) -> List[str]:
        return list(self._t.get("/v2/permission/role/query") or [])

    def grant_resource(
        self,
        party_id: str,
        *,
        components: Optional[Sequence[str]] = None,
        datasets: Optional[Sequence[Mapping[str, str]]] = None,
    ) -> None:
        """What a party may use of this site: components (["*"]: all), tables as {namespace, name}."""
        self._resource("grant", party_id, components, datasets)

    def delete_resource(
        self,
        party_id: str,
        *,
        components: Optional[Sequence[str]] = None,
        datasets: Optional[Sequence[Mapping[str, str]]] = None,
    ) -> None:
        self._resource("delete", party_id, components, datasets)

    def _resource(
        self,
        what: str,
        party_id: str,
        components: Optional[Sequence[str]],
        datasets: Optional[Sequence[Mapping[str, str]]],
    ) -> None:
        self._t.post(
            f"/v2/permission/resource/{what}",
            party_id=party_id,
            component=None if components is None else ",".join(components),
            dataset=None if datasets is None else [dict(d) for d in datasets],
        )

    def query_resource(self, party_id: str) -> JsonObject:
        return dict(self._t.get("/v2/permission/resource/query", party_id=party_id) or {})


class AppGroup(Group):
    """/v2/app: who may call. Answers of create_*() hold the token, which is told this once."""

    def create_client(self, app_name: str) -> JsonObject:
        return dict(self._t.post("/v2/app/client/create", app_name=app_name))

    def delete_client(self, app_id: str) -> bool:
        return bool((self._t.post("/v2/app/client/delete", app_id=app_id) or {}).get("status"))

    def query_client(self, *, app_id: Optional[str] = None, app_name: Optional[str] = None) -> List[JsonObject]:
        return list(self._t.get("/v2/app/client/query", app_id=app_id, app_name=app_name) or [])

    def list(self) -> List[JsonObject]:
        """Every app with its roles, without tokens."""
        return list(self._t.get("/v2/app/list") or [])

    def create_site(self, party_id: str) -> JsonObject:
        return dict(self._t.post("/v2/app/site/create", party_id=party_id))

    def delete_site(self, party_id: str) -> bool:
        return bool((self._t.post("/v2/app/site/delete", party_id=party_id) or {}).get("status"))

    def query_site(self, party_id: str) -> List[JsonObject]:
        return list(self._t.get("/v2/app/site/query", party_id=party_id) or [])

    def create_partner(self, party_id: str, app_id: str, app_token: str) -> JsonObject:
        return dict(self._t.post("/v2/app/partner/create", party_id=party_id, app_id=app_id, app_token=app_token) or {})

    def delete_partner(self, party_id: str) -> bool:
        return bool((self._t.post("/v2/app/partner/delete", party_id=party_id) or {}).get("status"))

    def query_partner(self, party_id: str) -> List[JsonObject]:
        return list(self._t.get("/v2/app/partner/query", party_id=party_id) or [])


class SiteGroup(Group):
    """/v2/site: this site and the ways to others."""

    def info(self) -> JsonObject:
        return dict(self._t.get("/v2/site/info/query"))

    def routes(self) -> List[JsonObject]:
        return list(self._t.get("/v2/site/route/list") or [])

    def add_route(self, party_id: str, url: str) -> None:
        self._t.post("/v2/site/route/add", idempotent=True, party_id=party_id, url=url)

    def remove_route(self, party_id: str) -> None:
        self._t.post("/v2/site/route/remove", party_id=party_id)

    def check(self, party_id: str) -> JsonObject:
        """The way to a party, tried step by step."""
        return dict(self._t.get("/v2/site/check", party_id=party_id))


class ServerGroup(Group):
    """/v2/server, and the pages for monitoring."""

    def info(self) -> JsonObject:
        """The nodes that are alive, as FATE-Flow lists them."""
        return dict(self._t.get("/v2/server/fateflow") or {})

    def nodes(self) -> List[JsonObject]:
        return list(self._t.get("/v2/server/nodes") or [])

    def resources(self) -> List[JsonObject]:
        return list(self._t.get("/v2/server/resources") or [])

    def gc(self, keep_days: Optional[int] = None, *, dry_run: bool = False, limit: Optional[int] = None) -> JsonObject:
        """Deletes jobs that ended longer ago, and old history."""
        return dict(self._t.post("/v2/server/gc", keep_days=keep_days, dry_run=dry_run, limit=limit))

    def audit(
        self,
        limit: int = 100,
        *,
        before: Optional[int] = None,
        app_id: Optional[str] = None,
        contains: Optional[str] = None,
    ) -> List[JsonObject]:
        """Who has changed what, newest first; `before` an audit_no for the next page."""
        return list(self._t.get("/v2/server/audit", limit=limit, before=before, app_id=app_id, contains=contains) or [])

    def query_all(self) -> JsonObject:
        return dict(self._t.get("/v2/server/query/all") or {})

    def query(self, server_name: str) -> JsonObject:
        return dict(self._t.get("/v2/server/query", server_name=server_name))

    def register(self, server_name: str, host: str, port: int, protocol: Optional[str] = None) -> JsonObject:
        return dict(
            self._t.post("/v2/server/registry", server_name=server_name, host=host, port=port, protocol=protocol)
        )

    def delete(self, server_name: str) -> None:
        self._t.post("/v2/server/delete", server_name=server_name)

    def query_service(self, server_name: str, service_name: str) -> JsonObject:
        return dict(self._t.get("/v2/server/service/query", server_name=server_name, service_name=service_name))

    def register_service(
        self,
        server_name: str,
        service_name: str,
        uri: str,
        *,
        method: Optional[str] = None,
        params: Optional[Mapping[str, Any]] = None,
        data: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, Any]] = None,
        protocol: Optional[str] = None,
    ) -> None:
        self._t.post(
            "/v2/server/service/registry",
            server_name=server_name,
            service_name=service_name,
            uri=uri,
            method=method,
            params=params,
            data=data,
            headers=headers,
            protocol=protocol,
        )

    def delete_service(self, server_name: str, service_name: str) -> None:
        self._t.post("/v2/server/service/delete", server_name=server_name, service_name=service_name)

    def alive(self) -> bool:
        return self._t.text("/livez")[0] == 200

    def ready(self) -> bool:
        """Whether the node can work: its database answers, and it is not going down."""
        return self._t.text("/readyz")[0] == 200

    def metrics(self) -> str:
        """Figures in the text format of Prometheus."""
        return self._t.text("/metrics")[1]
