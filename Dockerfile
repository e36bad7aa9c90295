<<<<<<< HEAD
# Both services and the gate, an image each: docker build --target schema . (or chat, gate).
# The caches of the first stage live in BuildKit: a change rebuilds our crates alone.
=======
# An image for each service: docker build --target schema . (or chat).
# BuildKit caches dependencies between builds: a change rebuilds the workspace's crates only.
>>>>>>> main

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Line tables make the binaries five times as large; function names are kept.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY migrations migrations
COPY services services
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin schema --bin chat --bin gate \
 && mkdir /out \
<<<<<<< HEAD
 && cp target/release/schema target/release/chat target/release/gate /out/
# A root file system with what the binaries load, and nothing that they do not: no shell, no package
# manager. libc reads hosts and asks DNS by itself. /data is for a file of SQLite's.
=======
 && cp target/release/schema target/release/chat /out/
# A root file system with the libraries that the binaries load: no shell, no package manager. libc resolves
# names with nsswitch.conf. /data is for an SQLite file.
>>>>>>> main
RUN mkdir -p /root-fs/etc/ssl/certs /root-fs/data \
 && ldd /out/schema /out/chat /out/gate | grep -o '/[^ :]*\.so[^ ]*' | sort -u \
  | xargs -I{} cp --dereference --parents {} /root-fs \
 && echo 'schemagate:x:10001:10001::/:/' > /root-fs/etc/passwd \
 && echo 'schemagate:x:10001:' > /root-fs/etc/group \
 && echo 'hosts: files dns' > /root-fs/etc/nsswitch.conf \
 && chown 10001:10001 /root-fs/data

# Public certificate authorities, for https and tls URLs.
FROM debian:bookworm-slim AS authorities
RUN [ -e /etc/ssl/certs/ca-certificates.crt ] \
 || { apt-get update && apt-get install --yes --no-install-recommends ca-certificates; }

FROM scratch AS service
COPY --from=build /root-fs /
COPY --from=authorities /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A fixed id, so that volumes and policies can name it.
USER 10001:10001
ENV LOG_FORMAT=json PATH=/usr/local/bin
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM service AS schema
LABEL org.opencontainers.image.title="schemagate-schema" \
      org.opencontainers.image.description="The schema service: one database's migrations behind an RPC"
COPY --from=build /out/schema /usr/local/bin/schema
ENV SCHEMA_LISTEN=0.0.0.0:50051
EXPOSE 50051
HEALTHCHECK --interval=2s --timeout=1s --start-period=30s CMD ["schema", "health"]
ENTRYPOINT ["schema"]
CMD ["serve"]

FROM service AS gate
LABEL org.opencontainers.image.title="schemagate-gate" \
      org.opencontainers.image.description="Wait for a schema, or gate any service: a sidecar and a reverse proxy"
COPY --from=build /out/gate /usr/local/bin/gate
ENV GATE_LISTEN=0.0.0.0:50053
EXPOSE 50053
ENTRYPOINT ["gate"]
CMD ["serve"]

FROM service AS chat
LABEL org.opencontainers.image.title="schemagate-chat" \
      org.opencontainers.image.description="The chat service: serves calls while the schema is at head"
COPY --from=build /out/chat /usr/local/bin/chat
ENV CHAT_LISTEN=0.0.0.0:50052
EXPOSE 50052
HEALTHCHECK --interval=2s --timeout=1s --start-period=30s CMD ["chat", "health"]
ENTRYPOINT ["chat"]
CMD ["serve"]
