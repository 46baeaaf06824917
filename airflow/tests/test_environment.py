"""Connections as the URLs that `tiki` reads."""

from __future__ import annotations

import json
import unittest
from typing import Any

from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException

from tiki_pipeline.environment import url


def connection(kind: str, extra: object = None, **said: Any) -> Connection:
    """One of this type, as Airflow keeps it."""
    text = extra if isinstance(extra, str | None) else json.dumps(extra)
    return Connection(conn_id="it", conn_type=kind, extra=text, **{"host": "h", **said})


def form(kind: str) -> dict[str, Any]:
    """What the form of the installed provider writes into `extra` when nothing in it is touched."""
    types = {hook.connection_type: hook for hook in HookMetaService.hook_meta_data()}
    fields = types[kind].extra_fields or {}
    return {name: field["value"] for name, field in fields.items()}


class Redis(unittest.TestCase):
    """Of the type Redis."""

    def is_refused(self, says: str, extra: object = None, **said: Any) -> None:
        """A connection of which a person is told so much."""
        with self.assertRaisesRegex(AirflowFailException, says):
            url("tiki_redis", connection("redis", extra, **said))

    def test_the_form_asks_for_nothing_but_its_database(self) -> None:
        """Its defaults are words like any other (`ssl_cert_reqs: required`)."""
        assert form("redis")["ssl_cert_reqs"] == "required"
        made = url("tiki_redis", connection("redis", form("redis") | {"db": 2}, port=6379, password="p"))
        assert made == "redis://:p@h:6379/2"
        without = form("redis") | {"db": None}
        assert url("tiki_redis", connection("redis", without)) == "redis://h/"

    def test_the_forms_own_database_is_the_brokers(self) -> None:
        """Nobody works in Airflow's broker, and the message says what to set."""
        assert form("redis")["db"] == 0
        says = "'tiki_redis' names database 0.*broker.*set its DB to another, such as 1"
        self.is_refused(says, form("redis"))
        self.is_refused(says, {"db": "0"})
        self.is_refused(says, schema="0")

    def test_what_tiki_cannot_do_is_refused(self) -> None:
        """TLS, a cluster and whatever else is said."""
        made = form("redis") | {"db": 1}
        self.is_refused("asks for ssl, ssl_cert_reqs:", made | {"ssl": True})
        self.is_refused("asks for cluster:", made | {"cluster": True})
        self.is_refused("asks for startup_nodes:", made | {"startup_nodes": "a:1"})
        self.is_refused("asks for protocol:", {"protocol": 3})
        self.is_refused("names a socket: tiki reaches Redis by host and port", host="/run/redis/redis.sock")

    def test_words_of_an_address_are_read_as_those_of_the_form(self) -> None:
        """AIRFLOW_CONN_TIKI_REDIS has them as text."""
        for address in ("redis://h:6379/?db=3&ssl=False&ssl_cert_reqs=required", "redis://h:6379/3"):
            assert url("tiki_redis", Connection.from_uri(address, conn_id="it")) == "redis://h:6379/3"


class Postgres(unittest.TestCase):
    """Of the type Postgres."""

    def test_the_form_asks_for_nothing(self) -> None:
        """However an untouched form is sent."""
        for extra in (form("postgres"), None, ""):
            made = url("tiki_warehouse", connection("postgres", extra, login="u", password="p@s", schema="crawl_data"))
            assert made == "postgres://u:p%40s@h/crawl_data"

    def test_a_host_may_be_a_socket_or_a_number(self) -> None:
        """Whatever a person writes into the field of the host."""
        for host, written in (
            ("db.example.com", "db.example.com:5433"),
            ("127.0.0.1", "127.0.0.1:5433"),
            ("::1", "[::1]:5433"),
            ("[2001:DB8::1]", "[2001:db8::1]:5433"),
            ("fe80::1%eth0", "[fe80::1%25eth0]:5433"),
            ("/run/postgresql", "%2Frun%2Fpostgresql:5433"),
            ("a.example.com,b.example.com", "a.example.com:5433,b.example.com:5433"),
            (None, "localhost:5433"),
        ):
            made = url("tiki_warehouse", connection("postgres", host=host, port=5433, login="u", schema="d"))
            assert made == f"postgres://u:@{written}/d", host

    def test_its_extra_is_escaped(self) -> None:
        """A plus would be read as such."""
        made = url("tiki_warehouse", connection("postgres", {"options": "-c work_mem=1MB", "sslrootcert": "/a b"}))
        assert made == "postgres://h/?options=-c%20work_mem%3D1MB&sslrootcert=%2Fa%20b"


if __name__ == "__main__":
    unittest.main()
