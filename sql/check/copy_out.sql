-- The rows of the temporary table copy_check of a test of COPY.
copy (select number, label, quantity from copy_check order by number) to stdout (format binary)
