-- So many more rows of the window are done ($1), of which so many were sent ($2).
update billing.push_cursors
set rows_done = rows_done + $1::bigint, rows_sent = rows_sent + $2::bigint
where target = 'dodo'
