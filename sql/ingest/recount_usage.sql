-- Events and distinct keys of the present period, of metrics that are aggregated by them: usage came,
-- or prices changed.
select billing.recount_usage()
