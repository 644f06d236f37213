-- Start a slice under a new epoch: whoever worked on it before can set no mark any more.
--
-- `begun` counts the openings that were never closed: the deaths of those who worked on it, and this one. Whoever
-- ends in order without closing it has set it to 0.
--
-- KEYS  1 batch  2 rows  3 slice records  4 unlogged
-- ARGV  1 slice number  2 now, ms
-- returns {epoch, compressed rows, batch facts as a flat list, records as a flat list, unlogged rows,
--         1 if this is the first opening of the batch's slices},
--         or nil if the batch or its rows are gone

local rows = redis.call("HGET", KEYS[2], ARGV[1])
if not rows or redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
local epoch = redis.call("HINCRBY", KEYS[3], "epoch", 1)
redis.call("HINCRBY", KEYS[3], "begun", 1)
local starts = redis.call("HSETNX", KEYS[1], "started_at_ms", ARGV[2])
local facts, records = redis.call("HGETALL", KEYS[1]), redis.call("HGETALL", KEYS[3])
return {epoch, rows, facts, records, redis.call("SMEMBERS", KEYS[4]), starts}
