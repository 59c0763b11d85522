FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-deps --wheel-dir /build/dist . \
    && python -m venv /opt/s3gate \
    && /opt/s3gate/bin/pip install --only-binary :all: /build/dist/s3gate-*.whl

FROM python:3.12-slim
LABEL org.opencontainers.image.title="s3gate" \
      org.opencontainers.image.description="Turns a directory into an S3 service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 s3gate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin s3gate \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/s3gate /opt/s3gate
# Everything is set by S3GATE_* variables. The credentials file lies in the volume, so that keys which were made at the
# first start outlive the container; nothing beneath .s3gate is served.
ENV PATH=/opt/s3gate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    S3GATE_DATA_DIR=/data \
    S3GATE_LISTEN=0.0.0.0:9900 \
    S3GATE_CREDENTIALS_PATH=/data/.s3gate/credentials.jsonl
USER 10001:10001
VOLUME ["/data"]
EXPOSE 9900
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["python", "-c", "import os, ssl, urllib.request as r; tls = bool(os.environ.get('S3GATE_TLS_CERT')); port = os.environ['S3GATE_LISTEN'].rpartition(':')[2]; r.urlopen(('https' if tls else 'http') + '://127.0.0.1:' + port + '/healthz', timeout=4, context=ssl._create_unverified_context() if tls else None)"]
ENTRYPOINT ["s3gate", "serve"]
