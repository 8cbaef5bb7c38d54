-- The next rows of sql/push/rows.sql.
fetch forward 1000 from pushed
