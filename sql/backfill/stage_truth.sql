-- Rows of a truth file, judged.
copy pg_temp.backfill_truth (line, org_id, metric, quantity) from stdin (format binary)
