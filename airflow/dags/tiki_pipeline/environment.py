"""What a child of the operator sees: settings and secrets of `tiki`, and nothing of Airflow's own.

A setting comes from, the later the stronger: the worker's environment, an Airflow Variable, the trigger form, a
connection, the DAG itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseHook, Connection, Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from tiki_pipeline.steps import CONNECTIONS, OF_THE_DAG, PARAMS, VARIABLES

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def environment(params: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child, read now."""
    ours = {name for name in os.environ if name.startswith("TIKI_")}.difference(OF_THE_DAG)
    found = {name: os.environ[name] for name in ours.union(INHERITED) if name in os.environ}
    variables = {name.upper(): Variable.get(name, default=None) for name in VARIABLES}
    form = {f"TIKI_{name.upper()}": params.get(name) for name in PARAMS}
    for said in (variables, form):
        found |= {name: str(value) for name, value in said.items() if value not in (None, "")}
    secrets = {setting: address(name) for name, setting in CONNECTIONS.items()}
    stronger = {setting: value for setting, value in secrets.items() if value} | dict(settings)
    for setting in stronger:
        found.pop(f"{setting}_FILE", None)
    found |= stronger
    if not {"TIKI_DATABASE_URL", "TIKI_DATABASE_URL_FILE"}.intersection(found):
        help_ = "add it under Admin, Connections, or set TIKI_DATABASE_URL for the workers"
        raise AirflowFailException(f"there is no connection 'tiki_warehouse': {help_}")
    return found


def address(name: str) -> str | None:
    """A connection as the URL that `tiki` reads; none where there is no such connection."""
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
    return url(name, connection)


def url(name: str, connection: Connection) -> str:
    """The same of a connection; of what else it says (`extra`) nothing is left out without a word."""
    kind, extra = connection.conn_type, dict(connection.extra_dejson)
    path, host = connection.schema or "", connection.host or "localhost"
    if kind == "redis":
        db, extra = extra.pop("db", None), asked_of_redis(extra)
        path = path if db in (None, "") else str(db)
        if extra:
            raise AirflowFailException(f"the connection {name!r} asks for {', '.join(extra)}: tiki knows only its db")
        if path == "0":  # Which the form says by itself.
            why = "where Airflow's broker lives: set its DB to another, such as 1"
            raise AirflowFailException(f"the connection {name!r} names database 0, {why}")
        if host.startswith("/"):
            raise AirflowFailException(f"the connection {name!r} names a socket: tiki reaches Redis by host and port")
    user = ":".join(quote(part, safe="") for part in (connection.login or "", connection.password or ""))
    port = f":{connection.port}" if connection.port else ""
    place = ",".join(written(each) + port for each in host.split(","))
    query = f"?{urlencode(extra, quote_via=quote)}" if extra else ""
    return f"{kind}://{user + '@' if user != ':' else ''}{place}/{quote(path, safe='')}{query}"


def written(host: str) -> str:
    """A host as a URL has it, which may be a name, an address, or the folder of a socket."""
    try:
        return f"[{quote(str(IPv6Address(host.strip('[]'))), safe=':')}]"
    except ValueError:
        return quote(host, safe=":")


def asked_of_redis(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a connection to Redis asks for. The form says more, and without TLS no word about TLS asks for anything."""
    said = {key: value for key, value in extra.items() if str(value or "").lower() not in ("", "false")}
    return said if "ssl" in said else {key: value for key, value in said.items() if not key.startswith("ssl_")}
