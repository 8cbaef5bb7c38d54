-- Rows of a file, judged, into their staging table.
copy pg_temp.ingest_seats from stdin (format binary)
