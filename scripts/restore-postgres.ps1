# Puts a backup in the warehouse's place: give its id, and --force (docs/CHECKLIST.md, section 20, says what to stop first).
# PostgreSQL must be up. Nothing else is started for it: airflow-init would refuse a schema that is newer than the program.
Push-Location "$PSScriptRoot/.."
try { docker compose run --rm --no-deps -T airflow-worker tiki backup restore @args } finally { Pop-Location }
exit $LASTEXITCODE
