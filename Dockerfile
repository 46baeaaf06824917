# Two images of one file:
#
#   docker build --target tiki -t tiki-data-pipeline .              the program alone, 50000:0
#   docker build --target airflow -t tiki-data-pipeline-airflow .   with it Airflow of our lock file, and the DAGs
#
# docker-compose.yml builds both by itself.

ARG DEBIAN=debian:bookworm-slim
ARG RUST=rust:1.95-slim-bookworm
# The stage, or an image, that has the program at /usr/local/bin/tiki.
ARG PROGRAM=builder

FROM ${RUST} AS builder
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY xtask xtask
RUN cargo build --profile dist --locked -p tiki \
    && cp target/dist/tiki /usr/local/bin/tiki \
    && rm -rf target

FROM ${PROGRAM} AS program

FROM ${DEBIAN} AS home
# Group 0 may write wherever the user may, so that any user id works (`user:` in docker-compose.yml).
RUN useradd --uid 50000 --gid 0 --home-dir /opt/airflow --no-create-home --shell /usr/sbin/nologin tiki \
    && mkdir -p /opt/airflow/data/backups /opt/airflow/logs \
    && chown -R 50000:0 /opt/airflow \
    && chmod -R g=u /opt/airflow
ENV TIKI_DATA_DIR=/opt/airflow/data LANG=C.UTF-8 HOME=/opt/airflow USER=tiki LOGNAME=tiki
WORKDIR /opt/airflow
USER 50000:0

FROM home AS tiki
COPY --from=program /usr/local/bin/tiki /usr/local/bin/tiki
ENTRYPOINT ["tiki"]
CMD ["--help"]

FROM home AS airflow
USER 0
# postgresql-client: pg_dump and pg_restore for `tiki backup`; it must not be older than the server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-client python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY airflow/requirements.lock.txt /opt/airflow/
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-input --require-hashes --no-deps --only-binary :all: \
        --requirement /opt/airflow/requirements.lock.txt
ENV AIRFLOW_HOME=/opt/airflow PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
COPY airflow/setup/init.sh airflow/setup/healthy.py /opt/airflow/setup/
COPY airflow/dags /opt/airflow/dags
COPY --from=program /usr/local/bin/tiki /usr/local/bin/tiki
USER 50000:0
CMD ["airflow", "version"]
