-- Of the batch before.
delete from pg_temp.ingest_folds
