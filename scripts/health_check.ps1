# Asks whether all is well that a run needs; the exit code says so (docs/CHECKLIST.md, section 22).
Push-Location "$PSScriptRoot/.."
try { docker compose exec -T airflow-worker tiki health @args } finally { Pop-Location }
exit $LASTEXITCODE
