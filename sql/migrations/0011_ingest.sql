-- What periodclose ingest needs: which files it has taken, how far, and what an org's plans make of a
-- metric at an instant.

create table billing.ingested_files (
    content bytea primary key check (octet_length(content) = 32),
    name text not null,
    lines_taken bigint not null check (lines_taken >= 0),
    rows_taken bigint not null check (rows_taken >= 0),
    first_taken_at billing.instant not null default now(),
    last_taken_at billing.instant not null default now()
);
comment on table billing.ingested_files is
    'Usage files that were taken, by their content. A row without an event id has no key but its place in its file: it is taken once, as lines_taken is written by the transaction that takes it.';
comment on column billing.ingested_files.content is
    'Digest of the file''s bytes (as in the manifest of a run).';
comment on column billing.ingested_files.lines_taken is
    'Rows up to this line are in the ledger.';

create function billing.aggregation_at(p_org text, p_metric text, p_at timestamptz) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select price.aggregation
    from billing.subscriptions as subscription
    join billing.prices as price
        on price.plan_id = subscription.plan_id and price.metric = p_metric
    where subscription.org_id = p_org
    order by
        case
            when (starts_at is null or starts_at <= p_at) and (ends_at is null or p_at < ends_at) then 0
            when ends_at <= p_at then 1
            else 2
        end,
        case when ends_at <= p_at then p_at - ends_at else starts_at - p_at end nulls first
    limit 1
$$;
comment on function billing.aggregation_at(text, text, timestamptz) is
    'How a metric of an org is aggregated at an instant: by the plan in force, else by the last one that prices the metric and was, else by the first that will be. Null: no plan of the org prices it.';

do $$
begin
    revoke all on billing.ingested_files from public;
    revoke all on function billing.aggregation_at(text, text, timestamptz) from public;
    grant select, insert, update on billing.ingested_files to billing_close;
    grant select on billing.ingested_files to billing_finance;
    grant execute on function billing.aggregation_at(text, text, timestamptz)
    to billing_app, billing_close, billing_finance;
end
$$;
