-- What is recorded of the period, in a word: another one when anything was recorded since.
select coalesce(count(*) || ' of runs up to ' || max(recorded_by), 'nothing')::text as mark
from billing.org_periods
where period = (select current_setting('periodclose.period')::date)
    and recorded_by < (select current_setting('periodclose.run')::bigint)
    and (
        (select current_setting('periodclose.orgs')) = ''
        or org_id = any ((select nullif(current_setting('periodclose.orgs'), '')::text[])::text[])
    )
