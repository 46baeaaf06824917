# Puts a backup in the warehouse's place: give its id, and --force (docs/CHECKLIST.md, section 20, says what to stop first).
Push-Location "$PSScriptRoot/.."
try { docker compose run --rm -T airflow-worker tiki backup restore @args } finally { Pop-Location }
exit $LASTEXITCODE
