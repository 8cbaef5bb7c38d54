-- Rows of a file, judged, into their staging table.
copy pg_temp.ingest_usage (file, line, org_id, metric, kind, quantity, occurred_at, event_id, unique_key, recorded_at) from stdin (format binary)
