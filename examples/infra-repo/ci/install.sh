#!/bin/sh
# Makes sure that exactly this version of drspass is there, so that a release, or an
# image that was built anew, cannot change what the pipelines do. Building it here runs
# the build scripts of its dependencies: an image of your own with drspass in it, named
# by its digest, keeps these out of jobs that hold a key.
set -eu
version=0.1.0

if ! command -v drspass >/dev/null; then
    cargo install --quiet --locked --version "=$version" drspass
fi
found=$(drspass --version)
if [ "$found" != "drspass $version" ]; then
    echo "this pipeline wants drspass $version, and this is $found" >&2
    exit 1
fi
