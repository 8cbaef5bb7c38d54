#!/usr/bin/env bash
# The rules of the house that a grep can check: house_rules.sh RULE [TREE]
#
#   no-floats      no float, double, or function that goes through one, in C code
#   no-notes       no line that puts work off
#   top-level      the top level holds what the design says, and nothing else
#   npm-lock       no package-lock.json names a registry's host
#   old-systems    no function that the libraries of Ubuntu 22.04 do not have
set -euo pipefail
rule=$1
cd "${2:-$(dirname "${BASH_SOURCE[0]}")/../..}"

c_files() { find src include tests -name node_modules -prune -o -name '*.[ch]' -print | sort; }

# Comments and strings may speak of floats; the code may not use them.
no_floats() {
    local types='float|double|_Float[0-9x]+|_Decimal[0-9]+'
    local calls='strtof|strtod|strtold|atof|json_real[a-z_]*|json_number_value|sqrtf?l?|floorf?l?'
    calls+='|l?l?roundf?l?|l?l?rintf?l?|powf?l?|fabsf?l?|difftime'
    local file found=0
    while read -r file; do
        if gcc -fpreprocessed -dD -E -w "$file" 2>/dev/null | grep -v '^#' |
            sed -E 's/"([^"\\]|\\.)*"//g' | grep -nE "\\b($types)\\b|\\b($calls)\\("; then
            echo "^ in $file"
            found=1
        fi
    done < <(c_files)
    return $found
}

no_notes() {
    local words='TO''DO|FIX''ME|X''XX' folder
    local folders=()
    for folder in Makefile README.md .ci deploy include src sql tests; do
        if [ -e "$folder" ]; then
            folders+=("$folder")
        fi
    done
    # By what is found, not by grep's status: 2 says "matches, but also a file I could not read".
    [ -z "$(grep -rnIwE "$words" --exclude-dir=node_modules --exclude-dir=corpus \
        --exclude='*.csv' --exclude='*.tsv' --exclude=package-lock.json "${folders[@]}" |
        tee /dev/stderr)" ]
}

top_level() {
    local names name found=0
    names=$(git ls-files 2>/dev/null | cut -d/ -f1 | sort -u) || true
    [ -n "$names" ] || names=$(ls)
    for name in $names; do
        case $name in
            Makefile | src | include | sql | fixtures | tests | deploy | README.md | build | .*) ;;
            *)
                echo "$name: does not belong at the top level"
                found=1
                ;;
        esac
    done
    return $found
}

npm_lock() {
    local files
    mapfile -t files < <(find tests -name node_modules -prune -o \
        '(' -name package-lock.json -o -name .npmrc ')' -print)
    ! grep -nE '"resolved"|https?://registry|_authToken' /dev/null "${files[@]}"
}

# jansson 2.13, libcurl 7.81, libpq 14, glibc 2.35. What is used where it is there is not named.
old_systems() {
    local calls='json_object_(setn|getn|deln|keylen|keyn)[a-z_]*|strlcpy|strlcat|arc4random[a-z_]*'
    calls+='|curl_easy_(next)?header|curl_ws_[a-z]+|PQcancel(Create|Start|Blocking|Poll)'
    calls+='|PQsetChunkedRowsMode|PQclose(Prepared|Portal)|PQsendPipelineSync|PQsocketPoll'
    local files
    mapfile -t files < <(c_files)
    ! grep -nE "\\b($calls)\\(" /dev/null "${files[@]}"
}

case $rule in
    no-floats) no_floats ;;
    no-notes) no_notes ;;
    top-level) top_level ;;
    npm-lock) npm_lock ;;
    old-systems) old_systems ;;
    *)
        echo "no such rule: $rule" >&2
        exit 2
        ;;
esac
