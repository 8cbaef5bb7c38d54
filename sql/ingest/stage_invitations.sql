-- Rows of a file, judged, into their staging table.
copy pg_temp.ingest_invitations from stdin (format binary)
