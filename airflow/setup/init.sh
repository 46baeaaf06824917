#!/bin/bash
# The service airflow-init: refuses what cannot work, then brings both databases up to date and makes the first
# login. It may run again and again.
#
# Not here: databases and roles (postgres-init.sh).
set -euo pipefail

refuse() {
    echo "error: $1" >&2
    exit 1
}

secrets=(AIRFLOW_DB_PASSWORD WAREHOUSE_DB_PASSWORD _AIRFLOW_WWW_USER_PASSWORD AIRFLOW__API__SECRET_KEY AIRFLOW__API_AUTH__JWT_SECRET)
for name in "${secrets[@]}"; do
    [[ ${!name:-} =~ ^[A-Za-z0-9._~-]{12,}$ ]] ||
        refuse "$name in .env must be 12 or more of the characters A-Z a-z 0-9 - . _ ~: airflow/setup/make-env.sh makes a .env with good ones"
done
[[ $AIRFLOW__CORE__FERNET_KEY =~ ^[A-Za-z0-9_-]{43}=$ ]] ||
    refuse "AIRFLOW__CORE__FERNET_KEY in .env is no Fernet key: make one with 'openssl rand -base64 32 | tr +/ -_'"
for folder in /opt/airflow/logs /opt/airflow/data /opt/airflow/data/backups; do
    [[ -w $folder ]] ||
        refuse "user $(id -u) may not write $folder: set AIRFLOW_UID in .env to the owner of airflow/logs and backups ('id -u'), or change their owner"
done

# A step that was killed a moment ago holds its lease for half a minute still (30).
for turn in 1 2 3 4 5 6 7 8 9; do
    code=0
    tiki migrate || code=$?
    [[ $code == 30 && $turn != 9 ]] || break
    sleep 10
done
[[ $code == 0 ]] || exit "$code"
airflow db migrate
# Asked twice for the password, on standard input: no command line holds it.
printf '%s\n%s\n' "$_AIRFLOW_WWW_USER_PASSWORD" "$_AIRFLOW_WWW_USER_PASSWORD" |
    airflow users create --role Admin --username "$_AIRFLOW_WWW_USER_USERNAME" \
        --firstname Tiki --lastname Pipeline --email "$_AIRFLOW_WWW_USER_USERNAME@localhost"
