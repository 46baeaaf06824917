# Makes a backup of the warehouse and proves it (docs/CHECKLIST.md, section 20).
Push-Location "$PSScriptRoot/.."
try { docker compose exec -T airflow-worker tiki backup create --verify @args } finally { Pop-Location }
exit $LASTEXITCODE
