-- Usage of one physical range of one partition: sql/extract/usage.sql, but what only adds up comes
-- added up. Two columns more: how many events, and when the last occurred.
-- Added up are changes of metrics that the org's plan sums or counts, of orgs on one plan through all
-- of the periods, recorded in time, between two of the instants at which a day begins for anybody
-- ($15): so that a sum never lies in two days, whatever the zone. All else comes as it is.
-- Parameters as there, and $15: instants at which a day begins in any of the orgs' calendars, in order.
copy (
    with plain as materialized (
        select subscription.org_id, price.metric
        from billing.subscriptions as subscription
        join billing.prices as price on price.plan_id = subscription.plan_id
        where price.aggregation in ('sum', 'count')
            and price.metric <> 'seats'
            and (starts_at is null or starts_at <= $6::timestamptz)
            and (ends_at is null or ends_at >= $12::timestamptz)
    ), ranged as not materialized (
        select
            ledger.org_id,
            ledger.metric,
            ledger.quantity,
            ledger.occurred_at,
            ledger.kind,
            ledger.unique_key,
            ledger.event_id,
            ledger.recorded_at,
            ledger.reason,
            plain.org_id is not null
                and ledger.kind = 'delta'
                and (ledger.reason is null or ledger.reason not in ('monthly_reset', 'migration'))
                and (
                    ledger.recorded_at is null
                    or ledger.recorded_at <= $8::timestamptz
                ) as adds
        from billing.usage_ledger as ledger
        left join plain on plain.org_id = ledger.org_id and plain.metric = ledger.metric
        where ledger.occurred_at >= $1::timestamptz
            and ledger.occurred_at < least($2::timestamptz, $12::timestamptz)
            and ledger.ctid >= ('(' || $3::bigint || ',0)')::tid
            and ledger.ctid < ('(' || $4::bigint || ',0)')::tid
            and (
                not $11::boolean
                or ledger.reason is distinct from 'migration'
                or ledger.metric <> 'seats'
            )
            and (
                $1::timestamptz >= $6::timestamptz
                or ledger.occurred_at >= $6::timestamptz
                or ledger.metric = any ($9::text[])
                and (not $10::boolean or ledger.recorded_at >= $6::timestamptz)
            )
    )
    select
        org_id,
        metric,
        sum(quantity),
        min(occurred_at)::timestamptz,
        false,
        null::text,
        null::text,
        null::timestamptz,
        null::text,
        count(*),
        max(occurred_at)::timestamptz
    from ranged
    where adds
    group by org_id, metric,
        width_bucket(occurred_at, $15::timestamptz[])
    union all
    select
        org_id,
        metric,
        quantity,
        occurred_at,
        kind = 'set',
        unique_key,
        case when kind = 'set' then event_id end,
        case
            when recorded_at > $8::timestamptz
                or occurred_at < $7::timestamptz
            then recorded_at
        end,
        case when reason in ('monthly_reset', 'migration') then reason end,
        1,
        occurred_at
    from ranged
    where not adds
) to stdout (format binary)
