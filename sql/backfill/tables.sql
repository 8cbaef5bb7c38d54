-- The truth of one backfill, in this session alone.
create temporary table backfill_truth (
    line bigint,
    org_id text collate "C" not null,
    metric text collate "C" not null,
    quantity numeric not null
);
create temporary table backfill_plan (
    place bigint primary key,
    org_id text collate "C" not null,
    metric text collate "C" not null,
    quantity numeric not null,
    is_counted boolean not null
);
