-- Put whole batches in doubt, in an inquiry: every response that is open will be looked at before it is sent.
--
-- KEYS  1 inquiry, then batches
-- ARGV  1 the inquiry's id  2 now, ms
-- returns how many there were of them; -1 if that inquiry is over

-- include common

if redis.call("HGET", KEYS[1], "id") ~= ARGV[1] then
  return -1
end
local count = 0
for i = 2, #KEYS do
  if redis.call("HGET", KEYS[i], "fingerprint") then
    doubt(KEYS[i], ARGV[2])
    count = count + 1
  end
end
return count
