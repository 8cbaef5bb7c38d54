-- A value for statements that take no parameters (COPY): they read it with current_setting.
-- $1: name, with a dot; $2: value; $3: for this transaction only.
select set_config($1::text, $2::text, $3::boolean)
