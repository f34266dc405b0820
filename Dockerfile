# The one image of all our processes; compose.yaml says which command each runs.
FROM python:3.11-slim-bookworm AS built
WORKDIR /opt/ordercast
COPY requirements-bootstrap.lock requirements.lock ./
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
    && .venv/bin/uv pip install --no-cache --python .venv/bin/python --require-hashes --compile-bytecode -r requirements.lock
COPY . .
RUN .venv/bin/uv pip install --no-cache --python .venv/bin/python --no-deps --no-build-isolation -e . \
    && .venv/bin/python -m compileall -q dashboards forecasting inventory pipelines

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin ordercast \
    && install --directory --owner ordercast --group ordercast --mode 0700 /var/lib/ordercast
COPY --from=built --chown=root:root /opt/ordercast /opt/ordercast
WORKDIR /opt/ordercast
ENV PATH=/opt/ordercast/.venv/bin:$PATH ORDERCAST_HOME=/var/lib/ordercast PYTHONUNBUFFERED=1
USER ordercast
VOLUME /var/lib/ordercast
ENTRYPOINT ["ordercast"]
CMD ["--help"]
