#!/bin/sh
# Makes a backup of the warehouse and proves it (docs/CHECKLIST.md, section 20).
# TIKI says another way to the program than the stack's, such as TIKI=tiki, which begins in the current folder.
[ -n "$TIKI" ] || cd "$(dirname "$0")/.." || exit 1
exec ${TIKI:-docker compose exec -T airflow-worker tiki} backup create --verify "$@"
