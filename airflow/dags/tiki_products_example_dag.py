"""An example for Airflow: does something whenever a run has loaded products."""

from typing import Any

from airflow.sdk import DAG, Asset, task

PRODUCTS = Asset("tiki_products")

with DAG(
    "tiki_products_example",
    schedule=[PRODUCTS],
    catchup=False,
    tags=["tiki", "example"],
    doc_md="Prints what the newest run of the pipeline loaded. Copy it for work of your own.",
) as dag:

    @task
    def show(triggering_asset_events: Any = None) -> None:
        """Prints the run and its counts, which come with the asset's event."""
        for event in triggering_asset_events[PRODUCTS]:
            run, loaded = event.extra["run_id"], event.extra["db_loaded"]
            print(f"run {run} loaded {loaded} products")

    show()
