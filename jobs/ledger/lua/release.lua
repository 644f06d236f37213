-- Release the next slices of a batch, so that at most `window` of them are in the queue or at work.
--
-- KEYS  1 batch  2 released  3 rows
-- ARGV  1 window
-- returns the numbers of the slices released now; none while the batch is paused or gone; nil, and releases nothing, if
--         there are fewer slices in the rows than in the batch

local batch = redis.call("HMGET", KEYS[1], "slices", "cursor", "paused")
if not batch[1] or batch[3] == "1" then
  return {}
end
local slices, cursor = tonumber(batch[1]), tonumber(batch[2] or "0")
local held = redis.pcall("HLEN", KEYS[3]) -- a user with rights of an older version may not ask
if type(held) == "number" and held < slices then
  return nil
end
local free = tonumber(ARGV[1]) - redis.call("SCARD", KEYS[2])
local numbers = {}
while free > 0 and cursor < slices do
  redis.call("SADD", KEYS[2], cursor)
  numbers[#numbers + 1] = cursor
  cursor, free = cursor + 1, free - 1
end
redis.call("HSET", KEYS[1], "cursor", cursor)
return numbers
