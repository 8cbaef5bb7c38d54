#!/bin/sh
# Writes the C file that holds the files under sql/: embed_sql.sh FILE... >sql_files.c
#
# Bytes as numbers and not as a string: a compiler may refuse a long string, and nothing needs to be
# quoted. The order of names is the order of their bytes, by which they are looked up.
set -eu
export LC_ALL=C

echo '/* Made by src/db/embed_sql.sh from the files under sql/. */'
echo '#include "sql_files.h"'
count=0
table=
for file in $(printf '%s\n' "$@" | sort -u); do
    echo "static const unsigned char bytes_${count}[] = {"
    od -An -v -tu1 "$file" | sed 's/\([0-9][0-9]*\)/\1,/g'
    echo '0};'
    table="$table    {\"${file#sql/}\", (const char *)bytes_$count, sizeof bytes_$count - 1},
"
    count=$((count + 1))
done
echo 'const struct sql_file sql_files[] = {'
printf '%s' "$table"
echo '};'
echo "const size_t sql_files_count = $count;"
