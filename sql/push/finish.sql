-- The window is done.
update billing.push_cursors
set done_until = sending_until, sending_until = null, rows_done = 0, pushed_at = now()
where target = 'dodo'
