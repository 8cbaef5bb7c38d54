#!/usr/bin/env bash
# Installs the Debian (or Ubuntu) packages that are missing: deploy/deps.sh build|test|bench...
#
#   build   what compiling and running periodclose needs        (make deps)
#   test    what its tests and its lint need on top of that     (make test-deps)
#   bench   the server that make bench-emit sends to
#
# Only what is missing is asked for, by name, with sudo where we are not root, and it is said before
# it is done. Where nothing is missing, nothing is touched and no network is needed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node_major_min=18

have_command() { command -v "$1" >/dev/null 2>&1; }
have_library() { have_command pkg-config && pkg-config --exists "$1"; }
have_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
have_header() { have_command gcc && echo "#include <$1>" | gcc -E - >/dev/null 2>&1; }

# The run-time part of clang, which some releases split off: can a fuzz target be linked?
have_fuzzer() {
    have_command clang || return 1
    local folder
    folder=$(mktemp -d)
    echo 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return n > 9 && *b == 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c - -o "$folder/probe" >/dev/null 2>&1
    local status=$?
    rm -rf "$folder"
    return $status
}

# The server's program. Tests make clusters of their own with it.
have_server() { compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null; }
server_version() {
    local file
    for file in /usr/lib/postgresql/*/bin/postgres; do
        file=${file#/usr/lib/postgresql/}
        echo "${file%%/*}"
    done | sort -n | tail -n 1
}

node_major() { node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/'; }

missing=()
want() { # PACKAGE PROBE...: the package is missing when the probe fails
    local package=$1
    shift
    "$@" || missing+=("$package")
}

want_build() {
    want gcc have_command gcc
    want libc6-dev have_header stdlib.h
    want make have_command make
    want pkg-config have_command pkg-config
    want libssl-dev have_library libcrypto
    want libjansson-dev have_library jansson
    want libcurl4-openssl-dev have_library libcurl
    want libcsv-dev have_header csv.h
    want libxxhash-dev have_header xxhash.h
    want libpq-dev have_library libpq
    want tzdata test -e /usr/share/zoneinfo/Europe/Berlin
}

want_test() {
    want libcmocka-dev have_package libcmocka-dev
    want spin have_command spin
    want libmicrohttpd-dev have_library libmicrohttpd
    want libgnutls28-dev have_library gnutls
    want openssl have_command openssl
    want clang have_command clang
    want clang-format have_command clang-format
    want clang-tidy have_command clang-tidy
    want shellcheck have_command shellcheck
    want mandoc have_command mandoc
    want postgresql-common have_command pg_virtualenv
    want libtap-parser-sourcehandler-pgtap-perl have_command pg_prove
    # By command and not by package: a node from elsewhere conflicts with Debian's npm.
    want nodejs have_command node
    want npm have_command npm
    want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
}

want_bench() {
    want nginx have_command nginx
    want libnginx-mod-http-echo test -e /usr/lib/nginx/modules/ngx_http_echo_module.so
    want curl have_command curl
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have_command sudo; then
        sudo "$@"
    else
        echo "deps: neither root nor sudo; as root, type: apt-get install ${missing[*]}" >&2
        exit 1
    fi
}

install_missing() {
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    if ! have_command apt-get; then
        echo "deps: missing: ${missing[*]}" >&2
        echo "deps: this is no Debian or Ubuntu; install their like and try again" >&2
        exit 1
    fi
    local with=apt-get
    [ "$(id -u)" -eq 0 ] || with='sudo apt-get'
    echo "deps: installing Debian packages with $with: ${missing[*]}"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "${missing[@]}" </dev/null >/dev/null
    missing=()
}

# Where there is no server yet, its package would make a cluster and start it: tests need none.
install_server() {
    local folder=/etc/postgresql-common/createcluster.d
    if have_server; then
        return
    fi
    as_root mkdir -p "$folder"
    echo "create_main_cluster = false" | as_root tee "$folder/periodclose.conf" >/dev/null
    want postgresql have_server
    install_missing
}

# pgTAP is packaged for each version of the server.
install_pgtap() {
    local version
    version=$(server_version)
    want "postgresql-$version-pgtap" test -e "/usr/share/postgresql/$version/extension/pgtap.control"
    install_missing
}

# Ubuntu 22.04 has node 12. npm carries node itself, and that one stays below build/.
install_newer_node() {
    local tools=$root/build/tools found machine
    found=$(node_major)
    if [ "${found:-0}" -ge "$node_major_min" ] || [ -x "$tools/bin/node" ]; then
        return
    fi
    case $(uname -m) in
        x86_64) machine=x64 ;;
        aarch64) machine=arm64 ;;
        *)
            echo "deps: node $node_major_min or later is needed, found ${found:-none}" >&2
            exit 1
            ;;
    esac
    echo "deps: node is too old (${found:-none}); installing node 22 from npm into build/tools"
    mkdir -p "$tools/bin"
    npm install --loglevel=error --no-save --no-audit --no-fund --prefix "$tools" "node-linux-$machine@22"
    ln -sf "../node_modules/node-linux-$machine/bin/node" "$tools/bin/node"
}

# The readers of other people that our files are read back with, exactly as package-lock.json says.
install_node_modules() {
    local folder=$root/tests
    if [ -e "$folder/node_modules/.package-lock.json" ] &&
        [ ! "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ]; then
        return
    fi
    echo "deps: installing npm packages into tests/node_modules (npm ci)"
    (cd "$folder" && PATH=$root/build/tools/bin:$PATH npm ci --loglevel=error </dev/null)
    touch "$folder/node_modules/.package-lock.json"
}

[ $# -gt 0 ] || set -- build
for what in "$@"; do
    case $what in
        build)
            want_build
            install_missing
            ;;
        test)
            want_test
            install_missing
            want "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" have_fuzzer
            install_missing
            install_server
            install_pgtap
            install_newer_node
            install_node_modules
            ;;
        bench)
            want_bench
            install_missing
            ;;
        *)
            echo "usage: deploy/deps.sh build|test|bench..." >&2
            exit 2
            ;;
    esac
done
