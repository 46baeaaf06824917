"""Backups of the warehouse as a DAG of Airflow, each proven by restoring it."""

from tiki_pipeline.factory import dag as new_dag
from tiki_pipeline.operator import TikiOperator

DOC = """
### tiki_backup

Copies the warehouse, restores the copy into a scratch database and compares the two, then removes old backups that
a younger proven one covers. With several workers their data folder must be one that they share.
"""

with new_dag("tiki_backup", "TIKI_BACKUP_SCHEDULE", DOC, tags=("backup", "production")) as dag:
    # One task, so that what is proven is what was just made, wherever the next task runs.
    create = TikiOperator(task_id="create_and_verify", what=("backup", "create", "--verify"), settings={})
    prune = TikiOperator(task_id="prune", what=("backup", "prune"), settings={})
    create >> prune
