#!/bin/sh
# Asks whether all is well that a run needs; the exit code says so (docs/CHECKLIST.md, section 22).
# TIKI says another way to the program than the stack's, such as TIKI=tiki, which begins in the current folder.
[ -n "$TIKI" ] || cd "$(dirname "$0")/.." || exit 1
exec ${TIKI:-docker compose exec -T airflow-worker tiki} health "$@"
