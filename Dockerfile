# The program's image: `docker build .`, `buildah build .`, or on the rig `python -m rig.node ready`.
# BASE_IMAGE is any image with Python 3.11 or newer and pip, reached as `python`; both stages use it.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
COPY requirements/ /src/requirements/
# uv comes by pip, everything else by uv; all of it pinned with hashes.
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
        --target /opt/uv --require-hashes -r /src/requirements/uv.txt \
    && export PYTHONPATH=/opt/uv UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never \
    && python -m uv venv --quiet --python "$(command -v python)" /opt/venv \
    && python -m uv venv --quiet --python "$(command -v python)" /opt/builder \
    && python -m uv pip install --quiet --compile-bytecode --python /opt/venv \
        --require-hashes -r /src/requirements/runtime.txt \
    && for unused in models api; do \
        rm -r /opt/venv/lib/python3*/site-packages/kubernetes/client/$unused/__pycache__; done \
    && python -m uv pip install --quiet --python /opt/builder --require-hashes -r /src/requirements/build.txt
WORKDIR /src
COPY . .
RUN export PYTHONPATH=/opt/uv UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never \
    && /opt/builder/bin/hatchling build --target wheel \
    && python -m uv pip install --quiet --compile-bytecode --no-deps --python /opt/venv dist/*.whl

FROM ${BASE_IMAGE}
COPY --from=build /opt/venv /opt/venv
# Nothing is written where the program lives, so its root may be read-only. SAFEPATH: nor is anything imported
# from where it happens to be started. MALLOC_*: glibc would keep freed memory apart for each
# thread, and the buffers of closed connections for ever.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 \
    MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m", "webhook"]
