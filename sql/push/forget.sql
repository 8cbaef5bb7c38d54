-- A row that was listed as ahead and is sent now. $1: event id
delete from billing.push_unsent where target = 'dodo' and event_id = $1::text and reason = 'ahead'
