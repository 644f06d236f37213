-- Put whole batches in doubt, in an inquiry: every response that is open will be looked at before it is sent.
--
-- KEYS  1 inquiry, then batches
-- ARGV  1 the inquiry's id  2 now, ms
-- returns how many there were of them; -1 if that inquiry is over

if redis.call("HGET", KEYS[1], "id") ~= ARGV[1] then
  return -1
end
local count = 0
for i = 2, #KEYS do
  if redis.call("HGET", KEYS[i], "fingerprint") then
    local before = tonumber(redis.call("HGET", KEYS[i], "doubted_ms") or "0") or 0
    redis.call("HSET", KEYS[i], "doubted_ms", string.format("%d", math.max(before + 1, tonumber(ARGV[2]))))
    count = count + 1
  end
end
return count
