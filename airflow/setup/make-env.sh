#!/bin/sh
# Makes .env of .env.example, with a new secret wherever one is missing. Never touches a .env that is there.
set -eu
umask 077
cd "$(dirname "$0")/../.."

if [ -e .env ] || [ -L .env ]; then
    echo "error: there is a .env already. Keep it: new passwords fit only a new database, and a new Fernet key cannot read what the old one encrypted" >&2
    exit 1
fi
trap 'rm -f .env.new' EXIT
bytes() { openssl rand "$@" 2>/dev/null || { echo "error: openssl is needed to make secrets" >&2; exit 1; }; }

while IFS= read -r line; do
    case "$line" in
    TIKI_*) ;;
    AIRFLOW__CORE__FERNET_KEY=) line="$line$(bytes -base64 32 | tr '+/' '-_')" ;;
    *PASSWORD= | *SECRET= | *SECRET_KEY=) line="$line$(bytes -hex 24)" ;;
    # Root owns whatever it likes, and nothing runs as root.
    AIRFLOW_UID=*) [ "$(id -u)" = 0 ] || line="AIRFLOW_UID=$(id -u)" ;;
    esac
    printf '%s\n' "$line"
done <.env.example >.env.new
mkdir -p airflow/logs backups
[ "$(id -u)" != 0 ] || chown 50000:0 airflow/logs backups
mv .env.new .env
echo "made .env; the name and the password of the first login to Airflow are in it (_AIRFLOW_WWW_USER_…)"
