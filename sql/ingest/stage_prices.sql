-- Rows of a file, judged, into their staging table.
copy pg_temp.ingest_prices from stdin (format binary)
