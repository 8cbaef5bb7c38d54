-- Batches are ranges of lines.
create index ingest_usage_line on pg_temp.ingest_usage (file, line);
analyze pg_temp.ingest_usage;
analyze pg_temp.ingest_series;
