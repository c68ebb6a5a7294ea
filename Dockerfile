# The worker and the `rotator` command; the compose file's sandbox runs its simulator from the same image.
#
#   docker build -t hostup-rotator .
#   docker build -t hostup-rotator --build-arg REQUIREMENTS=telemetry .          with OpenTelemetry and Sentry
#   docker build -t hostup-rotator-sandbox --build-arg REQUIREMENTS=sandbox .    with servers for `rotator sandbox`
#
# Behind a mirror or a proxy with an authority of its own: --build-arg PIP_INDEX_URL=… --build-arg PIP_CERT=… . Only
# the first stage knows them, nothing of it but /opt/rotator goes into the image.

FROM docker.io/library/python:3.11-slim-bookworm AS build
ARG REQUIREMENTS=worker
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# pip stays in an environment of its own: what runs in production cannot install anything.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/rotator
WORKDIR /src
COPY requirements/build.txt requirements/${REQUIREMENTS}.txt requirements/
RUN /opt/pip/bin/pip install --require-hashes -r requirements/build.txt \
 && /opt/pip/bin/pip --python /opt/rotator/bin/python install --require-hashes -r "requirements/${REQUIREMENTS}.txt"
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
RUN /opt/pip/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/pip/bin/pip --python /opt/rotator/bin/python install --no-deps --no-index dist/*.whl

FROM docker.io/library/python:3.11-slim-bookworm
COPY --from=build /opt/rotator /opt/rotator
# HOME: a place that is writable (a tmpfs) even when the root file system is not.
# MALLOC_ARENA_MAX: glibc gives each thread memory of its own, and what one frees is of no use to the others.
ENV PATH=/opt/rotator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    ROTATOR_HEALTH_FILE=/tmp/rotator-alive MALLOC_ARENA_MAX=2
USER 65532:65532
# Looks at the age of a file that the worker touches: costs an interpreter's start, needs neither network nor secrets.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "worker.service.health"]
ENTRYPOINT ["rotator"]
CMD ["worker"]
