-- The cursor of the first push. $1: what occurred before is not sent.
insert into billing.push_cursors (target, begins_at)
values ('dodo', $1::timestamptz)
on conflict (target) do nothing
