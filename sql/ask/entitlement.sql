-- May an org do an action now? $1: org, $2: action.
select allowed, reason from billing.check_entitlement($1::text, $2::text)
