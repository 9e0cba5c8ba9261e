#!/bin/sh
# Makes sure that exactly one version of drspass is on the path. What is missing is taken
# from the archive of a release whose SHA-256 checksum is known, so that neither a release
# that was replaced nor an image that was built anew can change what the pipelines run.
#
# ci/drspass.pin, which is reviewed as any change, sets three variables:
#   DRSPASS_VERSION=…   the version, such as 0.1.0
#   DRSPASS_ARCHIVE=…   the https address of the archive for the processor of the runners
#   DRSPASS_SHA256=…    the line of that archive in SHA256SUMS, up to the first space
# Without that file they are taken from the environment. DRSPASS_BIN is where the program
# goes, if not to /usr/local/bin, or ~/.local/bin where that cannot be written.
set -eu
pin=$(dirname "$0")/drspass.pin
if [ -e "$pin" ]; then
    . "$pin"
fi
where="is not set: ci/install.sh says what ci/drspass.pin must contain"
version=${DRSPASS_VERSION:?$where}
archive=${DRSPASS_ARCHIVE:?$where}
sha256=${DRSPASS_SHA256:?$where}

if ! command -v drspass >/dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf -- "$folder"' EXIT
    curl --fail --silent --show-error --location --proto '=https' \
        --output "$folder/archive.tar.gz" "$archive"
    # Nothing of the archive is unpacked, much less run, before this.
    echo "$sha256  $folder/archive.tar.gz" | sha256sum --check --quiet
    mkdir "$folder/files"
    tar -xzf "$folder/archive.tar.gz" -C "$folder/files" --strip-components=1
    bin=${DRSPASS_BIN:-/usr/local/bin}
    if [ ! -w "$bin" ]; then
        bin=$HOME/.local/bin
        mkdir -p "$bin"
        # Later steps find it there, too.
        if [ -n "${GITHUB_PATH-}" ]; then echo "$bin" >>"$GITHUB_PATH"; fi
    fi
    install -m 755 "$folder/files/drspass" "$bin/drspass"
    PATH=$bin:$PATH
fi
found=$(drspass --version)
if [ "$found" != "drspass $version" ]; then
    echo "this pipeline wants drspass $version, and this is $found" >&2
    exit 1
fi
