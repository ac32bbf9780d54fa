# syntax=docker/dockerfile:1
# The gateway as an image: one process, an own user, nothing to build with, a root file system that can be
# mounted read-only. It writes below /var/lib/gateway (state) and /tmp (spooled answers) alone.
#
#   docker build -t mhd-xds-gateway --build-arg REVISION=$(git rev-parse HEAD) .
#   docker run --read-only --tmpfs /tmp -v gateway-state:/var/lib/gateway -p 8080:8080 \
#       -e GATEWAY_REGISTRY__URL=... -e GATEWAY_REPOSITORIES=... -e GATEWAY_SERVER__BASE_URL=... \
#       -e GATEWAY_SECURITY__ISSUERS=... mhd-xds-gateway
#
# Sites pin the base by digest: --build-arg PYTHON=python@sha256:...
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# the dependencies first: they change less often than the code
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python -m venv /opt/build && /opt/build/bin/python -m pip install --require-hashes -r requirements/build.lock
RUN python -m venv --without-pip /opt/gateway
RUN /opt/build/bin/python -m pip --python /opt/gateway/bin/python install --require-hashes --no-deps --only-binary :all: -r requirements/runtime.lock
COPY pyproject.toml README.md ./
COPY wsdl wsdl
COPY config config
COPY gateway gateway
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/build/wheels .
RUN /opt/build/bin/python -m pip --python /opt/gateway/bin/python install --no-deps --no-index --find-links /opt/build/wheels mhd-xds-gateway

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mhd-xds-gateway" \
      org.opencontainers.image.description="Async gateway between FHIR (IHE MHD) and XDS.b / XDS-I.b" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# pip belongs to the base; nothing is installed into a running gateway
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
    && mkdir -p /var/lib/gateway && chown 65532:65532 /var/lib/gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_STATE_DIR=/var/lib/gateway \
    GATEWAY_SERVER__HOST=0.0.0.0
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["gateway", "health"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
