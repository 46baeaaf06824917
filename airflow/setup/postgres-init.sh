#!/bin/sh
# Run by the image of PostgreSQL, once, when its volume is new: databases and roles. What is in crawl_data later is
# made by `tiki migrate` (init.sh).
#
# Not here: the superuser, which the image makes.
set -eu

for name in POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD WAREHOUSE_DB_PASSWORD; do
    eval "secret=\${$name:-}"
    case "$secret" in *[!A-Za-z0-9._~-]*) secret='' ;; esac
    if [ "${#secret}" -lt 12 ]; then
        echo "error: $name in .env must be 12 or more of the characters A-Z a-z 0-9 - . _ ~: airflow/setup/make-env.sh makes a .env with good ones. Then 'docker compose down -v', for the database is half made, and start again" >&2
        exit 1
    fi
done

case "$POSTGRES_USER" in
airflow | tiki_app | tiki_reader)
    echo "error: POSTGRES_USER in .env may not be $POSTGRES_USER: that is a role of its own here" >&2
    exit 1
    ;;
esac

run() { psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"; }

# The passwords are read from the environment by psql itself: no command line holds them.
run --dbname postgres <<'SQL'
\getenv airflow AIRFLOW_DB_PASSWORD
\getenv tiki WAREHOUSE_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE DATABASE airflow OWNER airflow ENCODING 'UTF8' TEMPLATE template0;
-- CREATEDB: `tiki backup verify` restores into a database of its own.
CREATE ROLE tiki_app LOGIN CREATEDB PASSWORD :'tiki';
CREATE DATABASE crawl_data OWNER tiki_app ENCODING 'UTF8' TEMPLATE template0;
-- Only these two and the superuser have business here.
REVOKE CONNECT ON DATABASE airflow, crawl_data FROM PUBLIC;
SQL
# The group of those who only read.
run --dbname crawl_data --set owner=tiki_app --file /opt/roles.sql
