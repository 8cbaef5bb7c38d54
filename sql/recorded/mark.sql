-- What is recorded of the period, in a word: another one when anything was recorded since.
select coalesce(count(*) || ' of runs up to ' || max(recorded_by), 'nothing')::text as mark
from billing.org_periods
where period = current_setting('periodclose.period')::date
    and recorded_by < current_setting('periodclose.run')::bigint
    and (
        current_setting('periodclose.orgs') = ''
        or org_id = any (nullif(current_setting('periodclose.orgs'), '')::text[])
    )
