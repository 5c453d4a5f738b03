# syntax=docker/dockerfile:1
# The gateway and its modules. Builds with BuildKit: docker build -t wasmgate .

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential pkg-config libssl-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
ENV CARGO_INCREMENTAL=0
# The cache mounts are not part of the image: what is needed is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --package wasmgate \
    && cargo xtask modules \
    && mkdir -p /out/transforms \
    && cp target/release/wasmgate /out/ \
    && strip /out/wasmgate \
    && cp transforms/*.wasm /out/transforms/

FROM debian:bookworm-20251229-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/wasmgate --shell /usr/sbin/nologin wasmgate
COPY --from=build /out/wasmgate /usr/local/bin/wasmgate
# `data` and `transforms` are written to: give each a volume and the rest may be read-only.
COPY --from=build --chown=wasmgate /out/transforms /var/lib/wasmgate/transforms
RUN install -d -o wasmgate -g wasmgate -m 0700 /var/lib/wasmgate/data
USER wasmgate
WORKDIR /var/lib/wasmgate
# `validate` compiles modules in the temporary directory, and has to be allowed to run them.
ENV TMPDIR=/var/lib/wasmgate/data
EXPOSE 8080
STOPSIGNAL SIGTERM
# The image has no curl; bash opens the connection itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["wasmgate"]
CMD ["run", "--config", "/etc/wasmgate/wasmgate.yaml"]
