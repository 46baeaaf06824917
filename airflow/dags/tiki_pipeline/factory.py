"""Makes DAGs of the pipeline's steps, and of other commands of `tiki`.

A file that calls it must name Airflow somewhere: the dag-processor looks at no other.

Not here: how a command is run (`operator`), the names of the contract (`steps`).
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException
from airflow.timetables.trigger import CronTriggerTimetable

from tiki_pipeline.operator import TikiOperator
from tiki_pipeline.steps import OF_THE_DAG, STEPS, Step

PRODUCTS = Asset("tiki_products")
MOST_SHARDS = 64
CRAWL_STEPS = 3  # The first ones; what comes after them loads and tells what there is.

DEFAULTS = {
    "owner": "tiki",
    "retries": 3,
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=24),
}


def setting(name: str) -> str:
    """A setting of the DAGs themselves."""
    return os.environ.get(name) or OF_THE_DAG[name]


def shards() -> int:
    """Over how many tasks the details are spread."""
    text = setting("TIKI_CRAWL_SHARDS")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SHARDS:
        raise ValueError(f"TIKI_CRAWL_SHARDS is {text!r}: write a whole number from 1 to {MOST_SHARDS}")
    return int(text)


def form(*, with_details: bool) -> dict[str, Param]:
    """What the trigger form asks for; what is left empty is as the Variables say."""

    def number(kind: str, text: str) -> Param:
        return Param(None, type=["null", kind], minimum=0, description=text)

    params = {
        "categories": Param(None, type=["null", "string"], description="ids or URLs to take instead, by commas"),
        "max_categories": number("integer", "leaf categories at most; 0: all"),
        "max_products_per_category": number("integer", "products of each category at most; 0: all"),
        "rate_limit": number("number", "seconds between two requests, over all workers"),
    }
    if with_details:
        words = [None, "auto", "always", "never"]
        params["details"] = Param(None, type=["null", "string"], enum=words, description="which details are fetched")
    return params


def dag(dag_id: str, schedule: str, doc: str, tags: tuple[str, ...] = (), params: Any = None) -> DAG:
    """A DAG of ours: never two runs at a time, and the past is not made up for.

    Without a date of its start it waits, once unpaused, for the next time of its schedule, unless the last one was
    less than a tenth of the time between two ago.
    """
    zone = os.environ.get("TIKI_TIME_ZONE") or "Asia/Ho_Chi_Minh"
    return DAG(
        dag_id,
        schedule=None if setting(schedule) == "off" else CronTriggerTimetable(setting(schedule), timezone=zone),
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULTS,
        params=params,
        doc_md=doc,
        tags=["tiki", *tags],
    )


def pipeline(dag_id: str, doc: str, *, tags: tuple[str, ...], settings: dict[str, str] | None = None) -> DAG:
    """The nine steps one after the other, and a watcher; `settings` are stronger than Variables and form."""
    settings = settings or {}
    with dag(dag_id, "TIKI_SCHEDULE", doc, tags, form(with_details="TIKI_DETAILS" not in settings)) as made:
        groups: dict[str, TaskGroup | None] = {"": None}
        tasks: list[Any] = []
        for step in STEPS:
            name, _, task_id = step.task_id.rpartition(".")
            if name not in groups:
                groups[name] = TaskGroup(name)
            tasks.append(step_task(step, task_id, groups[name], settings))
            if len(tasks) > 1:
                tasks[-2] >> tasks[-1]
        tasks >> watcher()
    return made


def step_task(step: Step, task_id: str, group: TaskGroup | None, settings: dict[str, str]) -> Any:
    """The task of one step; the crawl of the details may be several."""
    after_all = STEPS.index(step) >= CRAWL_STEPS
    kinds: dict[str, Any] = {
        "task_id": task_id,
        "what": step,
        "settings": settings,
        "task_group": group,
        "trigger_rule": TriggerRule.ALL_DONE if after_all else TriggerRule.ALL_SUCCESS,
    }
    if step.name == "load-products":
        kinds["outlets"] = [PRODUCTS]
    if step.name == "crawl-product-details" and shards() > 1:
        return TikiOperator.partial(**kinds).expand(shard=list(range(shards())))
    return TikiOperator(**kinds)


@task(trigger_rule=TriggerRule.ONE_FAILED, retries=0, task_id="watcher")
def watcher() -> None:
    """Makes the run failed when a step failed, although the last one ran."""
    raise AirflowFailException("a step of this run failed; its own log says why")
