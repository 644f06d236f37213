-- Release the next slices of a batch, so that at most `window` of them are in the queue or at work.
--
-- KEYS  1 batch  2 released
-- ARGV  1 window
-- returns the numbers of the slices released now; none while the batch is paused or gone

local batch = redis.call("HMGET", KEYS[1], "slices", "cursor", "paused")
if not batch[1] or batch[3] == "1" then
  return {}
end
local slices, cursor = tonumber(batch[1]), tonumber(batch[2] or "0")
local free = tonumber(ARGV[1]) - redis.call("SCARD", KEYS[2])
local numbers = {}
while free > 0 and cursor < slices do
  redis.call("SADD", KEYS[2], cursor)
  numbers[#numbers + 1] = cursor
  cursor, free = cursor + 1, free - 1
end
redis.call("HSET", KEYS[1], "cursor", cursor)
return numbers
