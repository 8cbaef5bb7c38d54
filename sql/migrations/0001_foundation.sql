-- Foundation: the schema, what counts as an id, a metric, a quantity or an amount, and the lists of
-- currencies and time zones that everything else refers to.
--
-- Text that is a key is compared by its bytes (collate "C"), here as in the program, so that an order
-- means the same on both sides. Numbers are numeric(38,15); a column rounds what it is given to 15
-- decimals, so whoever writes a table directly checks first, with billing.check_decimal. All
-- functions do.

do $$
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'the database is encoded in %, but billing needs UTF8',
            current_setting('server_encoding')
            using hint = 'create one with: createdb --encoding UTF8 --template template0 NAME';
    end if;
end
$$;

create schema if not exists billing;
comment on schema billing is 'Usage ledger, seats, plans and the records of closed billing periods.';

-- periodclose migrate makes this table before the first file; psql -f meets it here.
create table if not exists billing.schema_migrations (
    name text collate "C" primary key,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default now(),
    applied_by text not null default session_user
);
comment on table billing.schema_migrations is
    'Which files of sql/migrations were applied, and the SHA-256 of each: an old file that changed is refused.';

create extension if not exists btree_gist with schema billing;

-- --- what values may be --------------------------------------------------------------------------

create domain billing.id as text collate "C"
    check (octet_length(value) between 1 and 255)
    check (value !~ '[\u0001-\u001f\u007f-\u009f]');
comment on domain billing.id is
    'Id of an org, a plan, a user, …: 1 to 255 bytes of UTF-8 without control characters.';

create domain billing.metric as text collate "C"
    check (octet_length(value) between 1 and 128)
    check (value !~ '[\u0001-\u001f\u007f-\u009f]');
comment on domain billing.metric is
    'Name of a metric: 1 to 128 bytes of UTF-8 without control characters.';

create domain billing.event_key as text collate "C"
    check (octet_length(value) between 1 and 1000);
comment on domain billing.event_key is
    'Idempotency key of an event, unique within its org. Bounded, since it is indexed.';

create domain billing.quantity as numeric(38, 15)
    check (value <> 'NaN');
comment on domain billing.quantity is
    'Signed quantity: 15 decimals, 23 digits before the point, never NaN.';

create domain billing.amount as numeric(38, 15)
    check (value <> 'NaN' and value >= 0);
comment on domain billing.amount is
    'Quantity, price or amount of money (in major units) that is not negative.';

create domain billing.positive as numeric(38, 15)
    check (value <> 'NaN' and value > 0);
comment on domain billing.positive is 'Quantity above zero.';

create domain billing.instant as timestamptz
    check (isfinite(value));
comment on domain billing.instant is
    'Point in time. An open end is null, never infinity.';

create domain billing.month as date
    check (isfinite(value) and extract(day from value) = 1)
    check (extract(year from value) between 1971 and 9000);
comment on domain billing.month is
    'Period by its name: the first day of the month in which it begins (2026-10-01 is period 2026-10).';

create function billing.check_decimal(p_value numeric, p_name text) returns numeric
language plpgsql immutable parallel safe
as $$
begin
    if p_value is null then
        return null;
    end if;
    if p_value in ('NaN', 'Infinity', '-Infinity') then
        raise exception '% is no number: %', p_name, p_value using errcode = '22023';
    end if;
    if min_scale(p_value) > 15 then
        raise exception '% has more than 15 decimals: %', p_name, p_value using errcode = '22003';
    end if;
    if abs(p_value) >= 100000000000000000000000 then
        raise exception '% has more than 23 digits before the point: %', p_name, p_value
            using errcode = '22003';
    end if;
    return p_value;
end
$$;
comment on function billing.check_decimal(numeric, text) is
    'The value itself, if numeric(38,15) holds it exactly; else an error that names it. Never rounds.';

-- --- currencies ----------------------------------------------------------------------------------

create table billing.currencies (
    code text collate "C" primary key check (code ~ '^[a-z]{3}$'),
    decimals smallint not null check (decimals between 0 and 3),
    increment billing.positive not null,
    stripe_exponent smallint not null check (stripe_exponent between 0 and 3)
);
comment on table billing.currencies is
    'Currencies and how they are billed; the same list as in the program (src/core/money.c).';
comment on column billing.currencies.decimals is 'Decimals shown in reports.';
comment on column billing.currencies.increment is 'Billed amounts are multiples of it.';
comment on column billing.currencies.stripe_exponent is 'Stripe''s minor unit is 10^-exponent.';

insert into billing.currencies (code, decimals, increment, stripe_exponent)
select unnest(string_to_array(kind.codes, ' ')), kind.decimals, kind.increment, kind.exponent
from (values
    ('aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd '
     'cad cdf chf cny cop crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd '
     'gtq gyd hkd hnl htg huf idr ils inr irr jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad '
     'mdl mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr '
     'pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt '
     'top try ttd twd tzs uah usd uyu uzs ved ves wst xcd xcg yer zar zmw zwg', 2, 0.01, 2),
    -- No decimals.
    ('bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf', 0, 1, 0),
    -- No decimals, but Stripe takes two, which must be zeros.
    ('isk ugx', 0, 1, 2),
    -- Three decimals, of which Stripe wants the last to be zero.
    ('bhd jod kwd omr tnd', 3, 0.01, 3),
    -- Three decimals, on none of Stripe's lists.
    ('iqd lyd', 3, 0.001, 3)
) as kind (codes, decimals, increment, exponent);

-- --- time zones ----------------------------------------------------------------------------------

create table billing.timezones (
    name text collate "C" primary key
);
comment on table billing.timezones is
    'Names of the tz database that an org may have. Refreshed by billing.refresh_timezones().';

create function billing.refresh_timezones() returns bigint
language sql
as $$
    with known as (
        select name
        from pg_catalog.pg_timezone_names
        where name ~ '^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$'
            and octet_length(name) <= 64
            and name not in ('localtime', 'posixrules', 'Factory')
            and name !~ '^(posix|right)/'
    ), added as (
        insert into billing.timezones (name)
        select name from known
        on conflict do nothing
        returning 1
    )
    select count(*) from added
$$;
comment on function billing.refresh_timezones() is
    'Adds the time zones that the server knows by now; returns how many were new. Run it after an update of the tz database.';

select billing.refresh_timezones();
