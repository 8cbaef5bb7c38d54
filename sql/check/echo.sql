-- Gives back what it is given, one parameter of each type: asks a connection whether values arrive.
select $1::text, $2::bigint, $3::numeric, $4::timestamptz, $5::boolean, $6::text
