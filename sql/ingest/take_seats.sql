-- Seats of seats.csv, into the seat book. A row is told by org, user and assigned_at; of several such
-- the n-th by their ends is the n-th. A known open seat may get its end; one that ended stays as it
-- is. Returns rows read, written, refused.
with staged as (
    select
        *,
        row_number() over (
            partition by org_id, user_id, assigned_at order by revoked_at nulls last, role, line
        ) as place
    from pg_temp.ingest_seats
    where org_id not in (select org_id from pg_temp.ingest_refused_orgs)
), known as (
    select
        org_id, user_id, assigned_at, revoked_at, seat_id,
        row_number() over (
            partition by org_id, user_id, assigned_at order by revoked_at nulls last, role, seat_id
        ) as place
    from billing.seat_intervals
    where org_id in (select org_id from staged)
), added as materialized (
    select staged.*, nextval('billing.seat_ids') as seat_id
    from staged
    left join known using (org_id, user_id, assigned_at, place)
    where known.seat_id is null
), assigned as (
    insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, role, expires_at, reason)
    select
        org_id, seat_id, 'assigned'::billing.seat_event_kind, user_id, assigned_at, role,
        case when revoked_at > now() then revoked_at end, 'ingest'
    from added
    returning 1
), ended as (
    insert into billing.seat_events (org_id, seat_id, kind, user_id, occurred_at, reason)
    select org_id, seat_id, 'revoked'::billing.seat_event_kind, user_id, revoked_at, 'ingest'
    from added
    where revoked_at <= now()
    union all
    select known.org_id, known.seat_id, 'revoked'::billing.seat_event_kind, known.user_id, staged.revoked_at, 'ingest'
    from staged
    join known using (org_id, user_id, assigned_at, place)
    where known.revoked_at is null and staged.revoked_at is not null
    returning 1
)
select
    (select count(*) from pg_temp.ingest_seats) as rows_read,
    (select count(*) from assigned) + (
        select count(*)
        from staged
        join known using (org_id, user_id, assigned_at, place)
        where known.revoked_at is null and staged.revoked_at is not null
    ) + 0 * (select count(*) from ended) as rows_taken,
    (select count(*) from pg_temp.ingest_seats) - (select count(*) from staged) as rows_refused
