-- Is the schema there? Asked when none of its migrations is noted.
select to_regclass('billing.orgs') is not null
