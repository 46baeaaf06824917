"""Backups of the warehouse as a DAG of Airflow, each proven by restoring it."""

from tiki_pipeline.factory import dag as new_dag
from tiki_pipeline.operator import TikiOperator

DOC = """
### tiki_backup

Copies the warehouse, restores the copy into a scratch database and compares the two, then removes old backups that
a younger proven one covers.
"""

with new_dag("tiki_backup", "TIKI_BACKUP_SCHEDULE", DOC, tags=("backup", "production")) as dag:
    create = TikiOperator(task_id="create", what=("backup", "create"), settings={})
    verify = TikiOperator(task_id="verify", what=("backup", "verify"), settings={})
    prune = TikiOperator(task_id="prune", what=("backup", "prune"), settings={})
    create >> verify >> prune
