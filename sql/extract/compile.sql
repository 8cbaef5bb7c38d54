-- Is the next statement compiled? $1: its range is long enough, where the server is set up for that.
select set_config('jit', case when $1::boolean then current_setting('periodclose.jit') else 'off' end, true)
