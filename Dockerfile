# One image for all services. The command says which: fleetcell broker, ingest, dashboard, sim run.

FROM node:22-slim AS web
WORKDIR /build/dashboard/web
COPY dashboard/web/package.json dashboard/web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY dashboard/web/ ./
RUN npm run build

FROM python:3.13-slim AS install
WORKDIR /build
RUN python -m venv /opt/fleetcell
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fleetcell/ fleetcell/
COPY broker/ broker/
COPY vehicle_sim/ vehicle_sim/
COPY ingest/ ingest/
COPY dashboard/ dashboard/
COPY --from=web /build/dashboard/static/ dashboard/static/
RUN /opt/fleetcell/bin/pip install --no-cache-dir --constraint constraints.txt ".[grafana]"

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --home-dir /var/lib/fleetcell --create-home fleetcell \
    && install --directory --owner fleetcell /var/lib/fleetcell/credentials /run/secrets
COPY --from=install /opt/fleetcell/ /opt/fleetcell/
COPY deploy/ /opt/fleetcell/deploy/
COPY vehicle_sim/roads/data/ /opt/fleetcell/roads/
ENV PATH=/opt/fleetcell/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FLEETCELL_DATA_DIR=/var/lib/fleetcell \
    FLEETCELL_LOG_JSON=true
USER fleetcell
WORKDIR /var/lib/fleetcell
# Each service of compose.yaml has a health check of its own; this one fits the dashboard, the default.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "/opt/fleetcell/deploy/healthy.py", "http://127.0.0.1:8080/healthz"]
CMD ["fleetcell", "dashboard"]
