"""The pipeline to go back to, as a DAG of Airflow: every detail, no shared cache."""

from tiki_pipeline.factory import pipeline

DOC = """
### tiki_crawl_products

The conservative pipeline: the same nine steps into the same warehouse, but every detail is asked each time and no
page comes from the shared cache. Slower and heavier on the site. Pause `tiki_crawl_products_optimized` and unpause
this one to go back; never let both run.
"""

dag = pipeline(
    "tiki_crawl_products",
    DOC,
    tags=("conservative", "rollback"),
    settings={"TIKI_DETAILS": "always", "TIKI_REDIS_URL": "none"},
)
