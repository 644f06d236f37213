-- Put in doubt the slices that one process may have marked responses of lately; it says so in an inquiry.
--
-- Whoever has such a slice open is granted no mark on the strength of that any more.
--
-- KEYS  1 inquiry  2 asked
-- ARGV  1 the inquiry's id  2 process  3 now, ms  4 the latest moment it has written at, ms  5 the latest moment at
--       which it has reached the ledger, by the clock of Redis, ms  6 1 if it has nothing more to say, else 0
--       7 the batches' keys without their ids  8 1 if it may have been granted marks that it does not know of, else 0
--       9.. batch, number and latest epoch of each slice
-- returns 1; 0 if that inquiry is over

-- include common

if redis.call("HGET", KEYS[1], "id") ~= ARGV[1] then
  return 0
end
local known = redis.call("HMGET", KEYS[1], "written_ms", "reached_ms")
redis.call("HSET", KEYS[1],
  "written_ms", string.format("%d", math.max(tonumber(known[1] or "0"), tonumber(ARGV[4]))),
  "reached_ms", string.format("%d", math.max(tonumber(known[2] or "0"), tonumber(ARGV[5]))))
if ARGV[8] == "1" then
  redis.call("HSET", KEYS[1], "unsure", 1)
end

for i = 9, #ARGV, 3 do
  local batch = ARGV[7] .. ARGV[i]
  local slice = batch .. ":slice:" .. ARGV[i + 1]
  local known = redis.call("HMGET", slice, "archive", "epoch")
  local put_away = known[1] and tonumber(known[2] or "0") >= tonumber(ARGV[i + 2]) -- and so it was when it was left
  if not put_away and redis.call("HGET", batch, "fingerprint") then
    redis.call("HSET", KEYS[1], "batch:" .. ARGV[i], 1)
    if known[1] then -- a retry was forgotten, and what it has queued again; doubt of the whole lasts until the next one
      doubt(batch, ARGV[3])
      redis.call("HSET", KEYS[1], "whole", 1)
    else
      doubt(slice, ARGV[3])
      redis.call("HINCRBY", slice, "epoch", 1)
      redis.call("HINCRBY", KEYS[1], "slices", redis.call("HSETNX", KEYS[1], "slice:" .. ARGV[i + 1] .. ":" .. ARGV[i], 1))
    end
  end
end
if ARGV[6] == "1" then
  redis.call("SREM", KEYS[2], ARGV[2])
end
return 1
