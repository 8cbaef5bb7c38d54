-- Rows for the temporary table copy_check of a test of COPY.
copy copy_check (number, label, quantity) from stdin (format binary)
