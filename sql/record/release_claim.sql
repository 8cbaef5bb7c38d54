-- Takes a claim from a run that is dead. $1: run; $2: why.
select billing.release_claim($1::bigint, $2::text)
