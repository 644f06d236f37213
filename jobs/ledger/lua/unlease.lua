-- Give mailboxes back, as far as this slice still holds them.
--
-- KEYS  mailboxes' leases
-- ARGV  1 holder ("worker|batch|slice")
-- returns how many were given back

local count = 0
for i = 1, #KEYS do
  if redis.call("GET", KEYS[i]) == ARGV[1] then
    count = count + redis.call("DEL", KEYS[i])
  end
end
return count
