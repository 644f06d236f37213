-- Note that the end of a batch has been logged. It is active as long as slices have still to be given their expiry.
--
-- KEYS  1 batch  2 active  3 throttled of the batch
-- ARGV  1 batch id  2 the end that was logged, ms
-- returns 1, or 0 if the batch goes on by now, or ended anew

if redis.call("HGET", KEYS[1], "finished_at_ms") ~= ARGV[2] then
  return 0
end
redis.call("HSET", KEYS[1], "announced", 1)
local ends, purpose = string.match(redis.call("HGET", KEYS[1], "expiry") or "", "^(%d+) (%a+)")
if ends ~= ARGV[2] or purpose == "expired" then
  redis.pcall("SREM", KEYS[2], ARGV[1]) -- where that is no set, whoever reads it says so
end
redis.call("DEL", KEYS[3])
return 1
