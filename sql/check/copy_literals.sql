-- Gives back what it is given, one parameter of each type, in a COPY; it's $1 that is none here.
copy (select $1::text, $2::bigint, $3::boolean, $4::timestamptz, '$1 -- $2'::text) to stdout (format binary)
