#!/bin/sh
# Asks whether all is well that a run needs; the exit code says so (docs/CHECKLIST.md, section 22).
# TIKI says another way to the program than the stack's, such as TIKI=tiki.
cd "$(dirname "$0")/.." && exec ${TIKI:-docker compose exec -T airflow-worker tiki} health "$@"
