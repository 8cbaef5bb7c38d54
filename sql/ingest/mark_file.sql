-- How far a file is taken now. $1: digest, $2: name, $3: the last line, $4: rows more.
insert into billing.ingested_files as taken (content, name, lines_taken, rows_taken)
values ($1::bytea, $2::text, $3::bigint, $4::bigint)
on conflict (content) do update
set lines_taken = greatest(taken.lines_taken, excluded.lines_taken),
    rows_taken = taken.rows_taken + excluded.rows_taken,
    last_taken_at = now()
