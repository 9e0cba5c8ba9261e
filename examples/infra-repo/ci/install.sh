#!/bin/sh
# Makes sure that exactly this version of drspass is there, built from a source archive
# whose checksum is known, so that neither a release, nor whoever owns a name in a
# registry, nor an image that was built anew can change what the pipelines do. Building
# it here runs the build scripts of its dependencies: an image of your own with drspass
# in it, named by its digest, keeps these out of jobs that hold a key.
set -eu
version=0.1.0
# Put in where you keep the archive of that version, and what 'sha256sum' says of it.
source=https://example.invalid/drspass-$version.tar.gz
sha256=0000000000000000000000000000000000000000000000000000000000000000

if ! command -v drspass >/dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf -- "$folder"' EXIT
    curl --fail --silent --show-error --location --proto '=https' \
        --output "$folder/source.tar.gz" "$source"
    # Nothing of the archive is unpacked, much less run, before this.
    echo "$sha256  $folder/source.tar.gz" | sha256sum --check --quiet
    mkdir "$folder/source"
    tar -xzf "$folder/source.tar.gz" -C "$folder/source" --strip-components=1
    cargo install --quiet --locked --path "$folder/source"
fi
found=$(drspass --version)
if [ "$found" != "drspass $version" ]; then
    echo "this pipeline wants drspass $version, and this is $found" >&2
    exit 1
fi
