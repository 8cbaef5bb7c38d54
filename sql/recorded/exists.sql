-- Has a run recorded this period, or the one before, of any org? $1: the period.
select exists (
    select from billing.org_periods
    where period between $1::text::date - interval '1 month' and $1::text::date
        and recorded_by is not null
)
