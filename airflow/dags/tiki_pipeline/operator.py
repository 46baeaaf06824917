"""Runs one `tiki` command as an Airflow task.

Not here: what a step does and counts (`tiki`), what it sees (`environment`), which tasks there are (`factory`).
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from datetime import datetime
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from tiki_pipeline.environment import environment
from tiki_pipeline.steps import STEPS, Step, run_id

NEVER_AGAIN = {2, 10, 11, 70}  # Of tiki's exit codes; the others may be tried again.
NOTHING_TO_DO = 99
REFUSED, LONGEST_WAIT_S = 20, 15 * 60
KILL_AFTER_S = 4.0  # Airflow kills a task 5 s after it asked it to end.


class TikiOperator(BaseOperator):
    """Runs `tiki <command>`, or a step of the run that belongs to the DAG run."""

    child: Popen[str] | None = None

    def __init__(self, what: Step | tuple[str, ...], settings: Any, shard: int | None = None, **rest: Any) -> None:
        super().__init__(do_xcom_push=False, **rest)
        self.step = what if isinstance(what, Step) else None
        self.what, self.settings, self.shard = what, settings, shard

    def execute(self, context: Context) -> None:
        """Runs it; its exit code decides what becomes of the task."""
        if context["dag_run"].run_type == "backfill":
            raise AirflowFailException("the site has no past: a backfill would store today's prices as those of then")
        words = ["tiki", *self.arguments(context), "--parent", str(os.getpid())]
        code, report = self.run_child(words, environment(context["params"], self.settings))
        for key in self.step.keys if self.step else ():
            if key in report:
                context["ti"].xcom_push(key=key, value=report[key])
        self.log.info("%s", report.get("hint", f"exit code {code}"))
        if code == 0:
            self.check_first(report, context["ti"].try_number)
            for asset in self.outlets:
                context["outlet_events"][asset].extra = {"run_id": report["run_id"], **report["load_stats"]}
            return
        why = f"tiki ended with exit code {code}: {report.get('error', 'why stands in the lines above')}"
        if code == NOTHING_TO_DO:
            raise AirflowSkipException(why)
        if code in NEVER_AGAIN or report.get("already_done"):
            raise AirflowFailException(why)
        if code == REFUSED and (until := report.get("retry_at")):
            self.log.info("the site is left alone until %s, for 15 minutes at most", until)
            time.sleep(min(max(datetime.fromisoformat(until).timestamp() - time.time(), 0), LONGEST_WAIT_S))
        raise AirflowException(why)

    def check_first(self, report: dict[str, Any], try_number: int) -> None:
        """Tells of a step that had ended before its first try, and fails where it is the last: nothing was done at all.

        One of several workers (shards) may come when the others have ended the step.
        """
        if not report.get("already_done") or try_number > 1 or self.shard is not None:
            return
        why = "this step had ended before its first try, as those of a run do whose id was used before"
        if self.step == STEPS[-1]:
            raise AirflowFailException(f"{why}: to crawl, trigger a run with another id")
        self.log.warning("%s: nothing was done", why)

    def arguments(self, context: Context) -> list[str]:
        """The words after `tiki`, without secrets. Clearing gives a task more tries than it had (`--again`)."""
        if not self.step:
            return [str(word) for word in self.what]
        ti, dag_id = context["ti"], context["dag"].dag_id
        words = ["step", self.step.name, "--run", run_id(dag_id, context["run_id"]), "--owner", f"airflow:{dag_id}"]
        words += ["--attempt", str(ti.try_number), "--timeout", "plan"]
        words += [] if self.shard is None else ["--join", "--shard", str(self.shard)]
        return words + (["--again"] if ti.max_tries > (self.retries or 0) else [])

    def run_child(self, words: list[str], seen: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Runs it to its end; its exit code and its report."""
        self.log.info("%s", " ".join(words))
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
            try:
                self.child = Popen(
                    words, env=seen, stdin=DEVNULL, stdout=out, stderr=PIPE, encoding="utf-8", errors="replace"
                )
            except FileNotFoundError:
                raise AirflowFailException("there is no program tiki on the PATH of this worker") from None
            for line in self.child.stderr or ():
                level = self.log.error if line.startswith("error:") else self.log.info
                (self.log.warning if line.startswith("warning:") else level)("%s", line.rstrip())
            code = self.child.wait()
            out.seek(0)
            lines = out.read().splitlines() or ["{}"]
        if not self.step:
            self.log.info("%s", "\n".join(lines))
        try:
            return code, dict(json.loads(lines[-1]) if self.step else {})
        except (ValueError, TypeError):
            raise AirflowFailException(f"the last line of tiki (code {code}) is no report: {lines[-1]:.200}") from None

    def on_kill(self) -> None:
        """Lets the batch in hand end, then kills."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(KILL_AFTER_S)
            except TimeoutExpired:
                self.child.kill()
