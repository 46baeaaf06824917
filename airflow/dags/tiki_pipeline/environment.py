"""What a child of the operator sees: settings and secrets of `tiki`, and nothing of Airflow's own.

A setting comes from, the later the stronger: the worker's environment, an Airflow Variable, the trigger form,
the DAG itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from tiki_pipeline.steps import CONNECTIONS, OF_THE_DAG, PARAMS, VARIABLES

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def environment(params: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child, read now."""
    ours = {name for name in os.environ if name.startswith("TIKI_")}.difference(OF_THE_DAG)
    found = {name: os.environ[name] for name in ours.union(INHERITED) if name in os.environ}
    said = {name.upper(): Variable.get(name, default=None) for name in VARIABLES}
    found |= {name: str(value) for name, value in said.items() if value not in (None, "")}
    said = {f"TIKI_{name.upper()}": params.get(name) for name in PARAMS}
    found |= {name: str(value) for name, value in said.items() if value not in (None, "")}
    for name, setting in CONNECTIONS.items():
        try:
            found[setting] = BaseHook.get_connection(name).get_uri()
        except AirflowNotFoundException:
            if setting == "TIKI_DATABASE_URL" and setting not in found:
                help_ = f"add it under Admin, Connections, or set {setting} for the workers"
                raise AirflowFailException(f"there is no connection {name!r}: {help_}") from None
    return {**found, **settings}
