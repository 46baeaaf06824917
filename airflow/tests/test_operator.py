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
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from tiki_pipeline.operator import TikiOperator
from tiki_pipeline.steps import STEPS, Step

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

    def run_task(self, what: Step | tuple[str, ...], script: str, try_number: int = 1, **rest: Any) -> str:
        """Runs a task whose `tiki` is a shell script; what it warned of."""
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
        with patch.object(TikiOperator, "log") as log, patch.object(ExecutorSafeguard, "test_mode", True):
            task.execute(cast(Context, said))
        return "\n".join(str(call.args) for call in log.warning.call_args_list)

    def test_nothing_to_do_is_skipped(self) -> None:
        """An empty warehouse has nothing to back up, which is nobody's failure."""
        with self.assertRaisesRegex(AirflowSkipException, "exit code 99"):
            self.run_task(BACKUP, "echo 'error: there is nothing to back up yet' >&2; exit 99")

    def test_every_command_ends_with_its_task(self) -> None:
        """A backup whose task was killed must not go on beside the next try's."""
        for what in (BACKUP, STEPS[0], STEPS[-1]):
            # It writes its own words down, and a report.
            self.run_task(what, f"echo \"$@\" >{self.folder}/words; echo '{{}}'")
            words = (self.folder / "words").read_text().split()
            assert words[-2:] == ["--parent", str(os.getpid())], words

    def test_a_run_that_had_ended_before_is_no_success(self) -> None:
        """The steps of an id that was used before end with 0 and without a request."""
        old, new = (f"echo '{{\"already_done\": {word}}}'" for word in ("true", "false"))
        assert "had ended before" in self.run_task(STEPS[0], old)
        with self.assertRaisesRegex(AirflowFailException, "another id"):
            self.run_task(STEPS[-1], old)
        assert self.run_task(STEPS[-1], new) == ""

    def test_a_step_that_has_ended_may_be_tried_again(self) -> None:
        """Whoever was killed after the end of it, a task that was cleared, and one of several workers."""
        old = "echo '{\"already_done\": true}'"
        assert self.run_task(STEPS[2], old, shard=1) == ""
        assert self.run_task(STEPS[0], old, try_number=2) == ""
        assert self.run_task(STEPS[-1], old, try_number=2) == ""


if __name__ == "__main__":
    unittest.main()
