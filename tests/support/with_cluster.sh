#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL cluster, gone afterwards (4 seconds, also as root):
# tests/support/with_cluster.sh COMMAND…        PG_VERSION chooses the server, where there are several.
#
# Suites run side by side, and two clusters being made at once would both take the first free port:
# one is made after the other. The lock is held until the cluster listens, not until its tests end.
set -euo pipefail

exec 9>"${TMPDIR:-/tmp}/periodclose-cluster.$(id -u).lock"
flock -w 300 9
# shellcheck disable=SC2016 # expanded by the inner shell
exec pg_virtualenv -t ${PG_VERSION:+-v "$PG_VERSION"} \
    bash -c 'flock -u 9 && exec 9>&- && exec "$@"' with_cluster "$@"
