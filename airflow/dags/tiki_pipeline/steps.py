"""The contract with `tiki`: its steps, settings and secrets by the names that Airflow knows them by.

A test compares all of it with `tiki step --list --json` and `tiki config show --json`.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple


class Step(NamedTuple):
    """A step of a run: its name on the command line, its task, the keys of its report."""

    name: str
    task_id: str
    keys: tuple[str, ...]


STEPS = (
    Step("crawl-categories", "crawl_categories", ("categories", "category_count")),
    Step("extract-product-urls", "extract_product_urls", ("product_urls", "product_count")),
    Step("crawl-product-details", "crawl_product_details", ("crawled_products", "crawl_stats")),
    Step("transform-products", "transform_products", ("transformed_products", "transform_stats")),
    Step("load-products", "load_products", ("load_stats",)),
    Step("get-cache-stats", "monitoring.get_cache_stats", ("cache_stats",)),
    Step("monitor-infrastructure", "monitoring.monitor_infrastructure", ("infrastructure_stats",)),
    Step("cleanup-temp-files", "cleanup_temp_files", ("removed_count",)),
    Step("send-notification", "send_notification", ("notification",)),
)

# Airflow Variables; in capitals they are the settings of `tiki`.
VARIABLES = (
    "tiki_data_dir",
    "tiki_max_categories",
    "tiki_categories",
    "tiki_max_products_per_category",
    "tiki_parallel_workers",
    "tiki_rate_limit",
)

# Of the trigger form, likewise; they override the Variables for one run.
PARAMS = ("categories", "max_categories", "max_products_per_category", "details", "rate_limit")

# Airflow Connections, and the settings whose secret they hold.
CONNECTIONS = {"tiki_warehouse": "TIKI_DATABASE_URL", "tiki_redis": "TIKI_REDIS_URL"}

# Read when a DAG is parsed, and the default of each.
OF_THE_DAG = {"TIKI_SCHEDULE": "0 2 * * *", "TIKI_BACKUP_SCHEDULE": "0 4 * * *", "TIKI_CRAWL_SHARDS": "1"}

LONGEST_RUN_ID = 128


def run_id(dag_id: str, dag_run_id: str) -> str:
    """The run of the warehouse that belongs to a DAG run: readable, allowed, and no other's."""
    plain = f"{dag_id}.{dag_run_id}"
    allowed = re.sub(r"[^A-Za-z0-9._:+-]", "-", plain)
    if allowed == plain and len(plain) <= LONGEST_RUN_ID:
        return plain
    mark = hashlib.sha256(plain.encode()).hexdigest()[:12]
    return f"{allowed[: LONGEST_RUN_ID - 13]}-{mark}"
