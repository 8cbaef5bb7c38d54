#!/usr/bin/env bash
# Writes, or writes anew, the last line of a new migration, by which it notes itself:
# sql/seal.sh sql/migrations/0042_name.sql      Makes a throw-away cluster for it. Never for an old file.
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:?sql/seal.sh sql/migrations/FILE.sql}

if [ -z "${SEAL_CLUSTER:-}" ]; then
    SEAL_CLUSTER=1 exec tests/support/with_cluster.sh bash sql/seal.sh "$file"
fi

body=$(mktemp)
trap 'rm -f "$body"' EXIT
if tail -n 1 "$file" | grep -q '^call billing.note_migration('; then
    head -n -1 "$file" >"$body"
else
    cat "$file" >"$body"
fi
createdb -E UTF8 -T template0 sealed
for each in sql/migrations/*.sql; do
    [ "$each" != "$file" ] || break
    psql -X -q -1 -v ON_ERROR_STOP=1 -d sealed -f "$each" >/dev/null
done
psql -X -q -1 -v ON_ERROR_STOP=1 -d sealed -f "$body" >/dev/null
schema=$(psql -X -At -d sealed -c 'select billing.schema_digest()')
printf "call billing.note_migration('%s', '%s', '%s');\n" "$(basename "$file")" \
    "$(sha256sum <"$body" | cut -d' ' -f1)" "$schema" >>"$body"
cat "$body" >"$file"
tail -n 1 "$file"
