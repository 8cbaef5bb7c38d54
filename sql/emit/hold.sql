-- Whether the connection, and with it the lock that was taken over it, is still there.
select 1
