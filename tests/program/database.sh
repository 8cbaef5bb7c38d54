#!/usr/bin/env bash
# The program against PostgreSQL: in a throw-away cluster that pg_virtualenv makes for this suite.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec pg_virtualenv -t bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# cmocka's own lines go to a file: this suite is counted by lib.sh's.
check "the database module speaks with a server as its header says" \
    timeout 120 "$(dirname "$program")/checked/tests/db/server_check"

finish
