# The program's image: `docker build .`, `buildah build .`, or `make release`.
# BASE_IMAGE is any image with Python 3.11 or newer, reached as `python`. BUILD_IMAGE has pip too, and the same Python.
# Nothing of the image's platform is run while it is built, so another platform (`--platform linux/arm64`) needs no
# emulator.
ARG BASE_IMAGE=python:3.13-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM --platform=${BUILDPLATFORM} ${BUILD_IMAGE} AS build
ARG TARGETARCH
COPY requirements/ /src/requirements/
# uv comes by pip, everything else by uv; all of it pinned with hashes. Compiled files are not compared with the time
# of their source, which differs from build to build.
ENV PYTHONPATH=/opt/uv UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never PYC_INVALIDATION_MODE=UNCHECKED_HASH
# $foreign is several options, or none.
# hadolint ignore=SC2086
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
        --target /opt/uv --require-hashes -r /src/requirements/uv.txt \
    && python -m uv venv --quiet --python "$(command -v python)" /opt/venv \
    && python -m uv venv --quiet --python "$(command -v python)" /opt/builder \
    && case "$TARGETARCH" in amd64) machine=x86_64;; arm64) machine=aarch64;; *) machine=$(uname -m);; esac \
    && if [ "$machine" != "$(uname -m)" ]; then \
        foreign="--no-build --python-platform $machine-unknown-linux-gnu"; fi \
    && python -m uv pip install --quiet --compile-bytecode --python /opt/venv $foreign \
        --require-hashes -r /src/requirements/runtime.txt \
    && for unused in models api; do \
        rm -r /opt/venv/lib/python3*/site-packages/kubernetes/client/$unused/__pycache__; done \
    && python -m uv pip install --quiet --python /opt/builder --require-hashes -r /src/requirements/build.txt
WORKDIR /src
COPY . .
# uv notes when the file was written that it installs, which differs from build to build.
RUN /opt/builder/bin/hatchling build --target wheel \
    && python -m uv pip install --quiet --compile-bytecode --no-deps --python /opt/venv dist/*.whl \
    && for info in /opt/venv/lib/python3*/site-packages/mxp_identity_webhook-*.dist-info; do \
        rm "$info/uv_cache.json" && sed -i /uv_cache.json/d "$info/RECORD"; done

# The default, but buildah 1.28 would take the platform of the stage above.
# hadolint ignore=DL3065
FROM --platform=${TARGETPLATFORM} ${BASE_IMAGE}
COPY --from=build /opt/venv /opt/venv
# Nothing is written where the program lives, so its root may be read-only. SAFEPATH: nor is anything imported
# from where it happens to be started. MALLOC_*: glibc would keep freed memory apart for each
# thread, and the buffers of closed connections for ever.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 \
    MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m", "webhook"]
