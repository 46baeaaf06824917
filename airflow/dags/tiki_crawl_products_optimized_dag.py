"""The daily pipeline as a DAG of Airflow: details only where they can tell something new."""

from tiki_pipeline.factory import pipeline

DOC = """
### tiki_crawl_products_optimized

Keeps the warehouse current: walks the category tree, lists every product, asks only for the details that can tell
something new, and loads all of it with price history. Each task is one `tiki step`; what it counted stands in its
XCom, what it did in its log.

- A refused crawl (exit 20) is tried again; if it stays refused, what the listings said is loaded all the same, and
  the watcher makes the run *failed*.
- Clearing `transform_products` or `load_products` derives the run anew from its stored pages and asks the site
  nothing.
- There is no backfill: the site has no past.

The way back is `tiki_crawl_products`: the same steps, and every detail.
"""

dag = pipeline("tiki_crawl_products_optimized", DOC, tags=("optimized", "production"))
