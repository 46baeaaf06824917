#!/bin/sh
# Puts a backup in the warehouse's place: give its id, and --force (docs/CHECKLIST.md, section 20, says what to stop first).
# PostgreSQL must be up. Nothing else is started for it: airflow-init would refuse a schema that is newer than the program.
# TIKI says another way to the program than the stack's, such as TIKI=tiki, which begins in the current folder.
[ -n "$TIKI" ] || cd "$(dirname "$0")/.." || exit 1
exec ${TIKI:-docker compose run --rm --no-deps -T airflow-worker tiki} backup restore "$@"
