-- What is to be sent: the window that was left unfinished, or all that is there by now.
with before as (
    select sending_until is not null as was_open
    from billing.push_cursors
    where target = 'dodo'
    for update
)
update billing.push_cursors as pushing
set sending_until = coalesce(pushing.sending_until, pg_current_snapshot())
from before
where pushing.target = 'dodo'
returning
    pushing.begins_at::timestamptz,
    pushing.done_until is null as is_first,
    before.was_open,
    pushing.pushed_at::timestamptz
