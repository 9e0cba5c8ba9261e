# The program alone, without a shell and as a user without rights:
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" drspass plan
# An image for pipelines, which need git and a shell as well, copies it:
#   COPY --from=drspass /usr/local/bin/drspass /usr/local/bin/drspass
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --bin drspass
RUN mkdir -p /out/etc/ssl/certs /out/usr/local/bin /out/work \
    && install -d -m 1777 /out/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
    && cp target/dist/drspass /out/usr/local/bin/

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["/usr/local/bin/drspass"]
