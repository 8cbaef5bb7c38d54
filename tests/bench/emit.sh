#!/usr/bin/env bash
# The benchmark of sending: invoice items to a fast local server (nginx, a canned answer), over plain
# HTTP/1.1 and over TLS with HTTP/2, beside a plain libcurl loop without journal in the same run.
#
#   ROUNDS=3            every number is the median of so many
#   ITEMS=100000        for each measurement at 8 and 64 in flight; a fifth of it at one in flight
#   MEMORY="1000 100000 1000000"   items of the memory rows; MEMORY= leaves them out
#   PARTS=speed,memory,rate
#   EMIT_DIR=build/bench/emit      where run directories are: its disk is the one that is synced
#
# A run begins from a recorded one (--until record); what is measured is the stage emit, from the
# start of the program: reading, checking, journal, syncs, the table of outcomes. A new journal first
# waits until nothing of an earlier start can be under way; that wait is taken off the time.
set -euo pipefail
export LC_ALL=C
unset "${!PERIODCLOSE_@}" "${!STRIPE_@}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
program=${PERIODCLOSE:-$root/build/periodclose}
tools=$root/build/bench
data=${EMIT_DIR:-$root/build/bench/emit}
rounds=${ROUNDS:-3}
items=${ITEMS:-100000}
parts=,${PARTS:-speed,memory,rate},
timeout_ms=400
quiet_us=$((timeout_ms * 1250))
results=$data/results.tsv # side, protocol, in flight, items, wall us, cpu us, anonymous KB, syncs
echo_module=/usr/lib/nginx/modules/ngx_http_echo_module.so

say() { echo "bench-emit: $*" >&2; }

die() {
    say "$*"
    exit 1
}

server=
clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$data"
}
trap clean_up EXIT

build_tools() {
    local name
    mkdir -p "$tools"
    for name in emit_loop measure; do
        if [ "$here/$name.c" -nt "$tools/$name" ]; then
            say "builds $name"
            "${CC:-cc}" -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -o "$tools/$name" "$here/$name.c" -lcurl
        fi
    done
}

# A port that nobody has at the moment.
free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1",
        () => { console.log(s.address().port); s.close(); })'
}

# The body is read before the answer: else HTTP/2 streams are reset under the client. And the answer
# has a Content-Length: libcurl 7.88 resets each stream whose end only the closing of it tells, with a
# frame and a write of its own.
start_server() {
    local made="{\"id\":\"ii_\$request_id\",\"object\":\"invoiceitem\",\"amount\":1234,\"currency\":\"usd\""
    made+=",\"customer\":\"\$http_idempotency_key\",\"metadata\":{}}"
    plain=$(free_port)
    secure=$(free_port)
    [ -e "$echo_module" ] || die "$echo_module is missing: make test-deps"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 1 -subj /CN=bench \
        -addext subjectAltName=IP:127.0.0.1 -out "$data/certificate.pem" -keyout "$data/certificate.key" \
        2>/dev/null
    cat >"$data/nginx.conf" <<CONF
load_module $echo_module;
daemon off;
pid $data/nginx.pid;
worker_processes 1;
events { worker_connections 1024; }
http {
    log_format times '\$msec \$status \$request_method';
    access_log off;
    client_body_temp_path $data/body;
    proxy_temp_path $data/proxy;
    fastcgi_temp_path $data/fastcgi;
    uwsgi_temp_path $data/uwsgi;
    scgi_temp_path $data/scgi;
    keepalive_requests 1000000000;
    default_type application/json;
    server {
        listen 127.0.0.1:$plain;
        listen 127.0.0.1:$secure ssl http2;
        ssl_certificate $data/certificate.pem;
        ssl_certificate_key $data/certificate.key;
        add_header Request-Id req_\$request_id;
        location ~ ^(/dated)?/v1/invoices\$ {
            return 200 '{"object":"list","data":[],"has_more":false}';
        }
        location @made {
            return 200 '$made';
        }
        location @dated {
            access_log $data/times.log times;
            return 200 '$made';
        }
        location = /v1/invoiceitems {
            if (\$request_method = GET) {
                return 200 '{"object":"list","data":[],"has_more":false}';
            }
            echo_read_request_body;
            echo_exec @made;
        }
        location = /dated/v1/invoiceitems {
            access_log $data/times.log times;
            if (\$request_method = GET) {
                return 200 '{"object":"list","data":[],"has_more":false}';
            }
            echo_read_request_body;
            echo_exec @dated;
        }
    }
}
CONF
    nginx -p "$data" -c "$data/nginx.conf" -e "$data/nginx.log" &
    server=$!
    local tries
    for tries in $(seq 50); do
        curl -s -o "$data/probe" "http://127.0.0.1:$plain/v1/invoiceitems" && return
        sleep 0.1
    done
    die "nginx does not start ($tries tries): $(tail -n 3 "$data/nginx.log")"
}

base_of() {
    [ "$1" = plain ] && echo "http://127.0.0.1:$plain" || echo "https://127.0.0.1:$secure"
}

# dataset COUNT: a recorded run of so many items, made once.
dataset() {
    local count=$1
    [ ! -e "$data/recorded-$count" ] || return 0
    node "$here/emit_data.mjs" "$data/set-$count" "$count"
    STRIPE_API_KEY=sk_test_bench "$program" run --period 2026-10 --now 2026-11-01T00:00:00Z --source \
        "$data/set-$count" --run-dir "$data/recorded-$count" --until record --emit stripe --quiet \
        --max-wait none >"$data/out.txt" 2>&1 || die "recording $count items: $(tail -n 3 "$data/out.txt")"
}

field() { sed -E "s/.*\b$1=([0-9]+).*/\1/" "$data/measured"; }

# note SIDE PROTOCOL IN_FLIGHT ITEMS SYNCS OFF_US
note() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$(($(field wall_us) - $6))" \
        "$(field cpu_us)" "$(field anon_kb)" "$5" >>"$results"
}

# ours PROTOCOL IN_FLIGHT COUNT [OPTION...]
ours() {
    local protocol=$1 in_flight=$2 count=$3 base
    base=$(base_of "$protocol")
    dataset "$count"
    rm -rf "$data/run"
    cp -r "$data/recorded-$count" "$data/run"
    sync "$data"
    STRIPE_API_KEY=sk_test_bench STRIPE_API_BASE=$base CURL_CA_BUNDLE=$data/certificate.pem \
        "$tools/measure" "$data/measured" "$program" run --period 2026-10 --now 2026-11-01T00:00:00Z \
        --source "$data/set-$count" --run-dir "$data/run" --until emit --emit stripe --quiet \
        --max-wait none --rate none --in-flight "$in_flight" --timeout "$timeout_ms" \
        >"$data/out.txt" 2>&1 || die "sending $count items: $(tail -n 3 "$data/out.txt")"
    # Each batch of the journal, which is one sync, ends with a mark that says so.
    note ours "$protocol" "$in_flight" "$count" \
        "$(grep -ac 'end of batch' <(tr '\n' ' ' <"$data/run/60-emit/journal" | sed 's/end of batch/&\n/g'))" "$quiet_us"
}

loop() {
    local protocol=$1 in_flight=$2 count=$3
    CURL_CA_BUNDLE=$data/certificate.pem "$tools/measure" "$data/measured" "$tools/emit_loop" \
        "$(base_of "$protocol")" "$count" "$in_flight" || die "the plain loop failed"
    note loop "$protocol" "$in_flight" "$count" 0 0
}

# --- parts --------------------------------------------------------------------------------------

measure_speed() {
    local round protocol in_flight count
    for round in $(seq "$rounds"); do
        say "speed, round $round of $rounds"
        for protocol in plain tls; do
            for in_flight in 1 8 64; do
                count=$items
                [ "$in_flight" != 1 ] || count=$((items / 5))
                loop "$protocol" "$in_flight" "$count"
                ours "$protocol" "$in_flight" "$count"
            done
        done
    done
}

measure_memory() {
    local count
    for count in ${MEMORY-1000 100000 1000000}; do
        say "memory, $count items"
        ours plain 64 "$count"
        sed -i '$ s/^ours/memory/' "$results"
        [ "$count" = "$items" ] || rm -rf "$data/set-$count" "$data/recorded-$count"
    done
}

# 300 items at 25 a second, by the server's clock.
measure_rate() {
    local count=300
    say "rate 25 for $((count / 25)) seconds"
    dataset "$count"
    rm -rf "$data/run" "$data/times.log"
    cp -r "$data/recorded-$count" "$data/run"
    kill -USR1 "$server"
    STRIPE_API_KEY=sk_test_bench STRIPE_API_BASE=$(base_of plain)/dated "$program" run --period 2026-10 \
        --now 2026-11-01T00:00:00Z --source "$data/set-$count" --run-dir "$data/run" --until emit \
        --emit stripe --quiet --max-wait none --rate 25 --timeout "$timeout_ms" >"$data/out.txt" 2>&1 ||
        die "sending at a rate: $(tail -n 3 "$data/out.txt")"
    awk '$3 == "POST" { at[n++] = $1 }
        END {
            for (i = 0; i < n; i++) {
                while (at[i] - at[from] >= 1) from++
                most = i - from + 1 > most ? i - from + 1 : most
                ten += at[i] - at[0] < 10
            }
            printf "rate 25: %.2f a second over ten seconds (goal 24.5 to 25.0), at most %d in any one second (goal 25)\n",
                ten / 10, most
        }' "$data/times.log"
}

summary() {
    sort -t "$(printf '\t')" -k1,1 -k2,2 -k3,3n -k4,4n -k5,5n "$results" | awk -F '\t' '
        function flush(    m) {
            if (key == "") return
            m = int((n + 1) / 2)
            wall[key] = w[m]
            cpu[key] = c[m] # of the round with the median time
            anon[key] = a
            synced[key] = s
        }
        { k = $1 FS $2 FS $3 FS $4 }
        k != key { flush(); key = k; n = 0; a = 0; order[++keys] = k }
        { w[++n] = $5; c[n] = $6; a = $7 > a ? $7 : a; s = $8 }
        END {
            flush()
            print "protocol in-flight   items  ours items/s  loop items/s  time ratio  ours us CPU  loop us CPU  items a sync  anonymous KB"
            for (i = 1; i <= keys; i++) {
                split(order[i], f, FS)
                if (f[1] != "ours") continue
                loop = "loop" FS f[2] FS f[3] FS f[4]
                printf "%-8s %9d %7d %13d %13d %11.2f %12.1f %12.1f %13.0f %13d\n", f[2], f[3], f[4],
                    f[4] / wall[order[i]] * 1e6, f[4] / wall[loop] * 1e6, wall[order[i]] / wall[loop],
                    cpu[order[i]] / f[4], cpu[loop] / f[4], f[4] / synced[order[i]], anon[order[i]]
            }
            for (i = 1; i <= keys; i++) {
                split(order[i], f, FS)
                if (f[1] == "memory")
                    printf "memory: %d items, at most %d KB anonymous\n", f[4], anon[order[i]]
            }
        }'
}

rm -rf "$data"
mkdir -p "$data"
touch "$results"
build_tools
start_server
[[ $parts != *,speed,* ]] || measure_speed
[[ $parts != *,memory,* ]] || measure_memory
[ ! -s "$results" ] || summary
[[ $parts != *,rate,* ]] || measure_rate
echo "goals: time ratio 1.15; 25,000 items/s; 40 us CPU plain, 65 us over TLS; 64 items a sync; memory flat"
