-- Events and distinct keys of the present period, of metrics that are aggregated by them: plans or prices
-- may have changed.
select billing.recount_usage()
