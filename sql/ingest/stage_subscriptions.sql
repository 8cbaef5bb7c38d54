-- Rows of a file, judged, into their staging table.
copy pg_temp.ingest_subscriptions from stdin (format binary)
