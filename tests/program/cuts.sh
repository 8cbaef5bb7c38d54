#!/usr/bin/env bash
# The database hangs up at every message of claim and record, one after the other.
if [ -z "${DATABASE_SUITE:-}" ]; then
    DATABASE_SUITE=1 exec "$(dirname "${BASH_SOURCE[0]}")/../support/with_cluster.sh" bash "$0" "$@"
fi
# shellcheck source=tests/program/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

createdb --template template0 --encoding UTF8 cuts
export PGDATABASE=cuts
mkdir "$scratch/dataset"
for file in "$root"/fixtures/acme/dataset/*.csv; do
    grep -v '^doubled,' "$file" >"$scratch/dataset/$(basename "$file")"
done
periodclose migrate --database ""
check "there is something to close" expect 0 ingest --database "" "$scratch/dataset"
check "and it is computed" expect 0 run --database "" --period 2024-02 --now 2024-05-01T00:00:00Z --until project \
    --org acme --org capped --org models --run-dir "$scratch/base"

# Two lanes side by side, each in a database of its own; what is pinned of one tells them apart.
PGDATABASE=postgres createdb --template cuts cuts_too
check "and so it is in its copy" env PGDATABASE=cuts_too "$program" run --database "" --period 2024-02 --now 2024-05-01T00:00:00Z \
    --until project --org acme --org capped --org models --run-dir "$scratch/base_too"

cut_everywhere() {
    local failed=0
    PGDATABASE=cuts_too timeout 1200 node "$root/tests/program/cuts.mjs" "$program" "$scratch/base_too" "$scratch/run_too" 2 2 >"$scratch/two" 2>&1 &
    local other=$!
    timeout 1200 node "$root/tests/program/cuts.mjs" "$program" "$scratch/base" "$scratch/run" 1 2 >"$scratch/one" 2>&1 || failed=1
    wait "$other" || failed=1
    cat "$scratch/one" "$scratch/two"
    [ "$failed" -eq 0 ] && grep -q '[1-9][0-9]* lost the answer to COMMIT' "$scratch/one" "$scratch/two"
}
check "cut at any message, and gone on with, the tables are those of a calm run" cut_everywhere
grep -h "^#" "$scratch/one" "$scratch/two"

finish
