"""What becomes of a task by the exit code and the report of a `tiki`, which here is a script."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from tiki_pipeline.operator import TikiOperator
from tiki_pipeline.steps import Step

BACKUP = ("backup", "create", "--verify")


class Operator(unittest.TestCase):
    """On its first try, where nothing else is said."""

    def setUp(self) -> None:
        """A folder for the program, which is all that is on the PATH."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        seen = {"PATH": f"{self.folder}:/usr/bin:/bin", "TIKI_DATABASE_URL": "sqlite:none"}
        environment = patch.dict(os.environ, seen)
        environment.start()
        self.addCleanup(environment.stop)

    def run_task(self, what: Step | tuple[str, ...], script: str, try_number: int = 1, **rest: Any) -> None:
        """Runs a task whose `tiki` is a shell script."""
        program = self.folder / "tiki"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        task = TikiOperator(task_id="it", what=what, settings={}, retries=3, **rest)
        pushed = SimpleNamespace(try_number=try_number, max_tries=3, xcom_push=lambda **_: None)
        said = {
            "dag": SimpleNamespace(dag_id="d"),
            "dag_run": SimpleNamespace(run_type="manual"),
            "params": {},
            "run_id": "r",
            "ti": pushed,
        }
        task.execute(cast(Context, said))

    def test_nothing_to_do_is_skipped(self) -> None:
        """An empty warehouse has nothing to back up, which is nobody's failure."""
        with self.assertRaisesRegex(AirflowSkipException, "exit code 99"):
            self.run_task(BACKUP, "echo 'error: there is nothing to back up yet' >&2; exit 99")


if __name__ == "__main__":
    unittest.main()
