-- Start a slice under a new epoch: whoever worked on it before can set no mark any more.
--
-- `begun` counts the openings that were never closed: the deaths of those who worked on it, and this one. Whoever
-- ends in order without closing it has set it to 0.
--
-- Of a big slice it returns neither rows nor records, which would keep Redis for too long: they are read afterwards,
-- in steps. Nobody else is granted a mark by then; what else is written meanwhile is compared with what was read.
--
-- KEYS  1 batch  2 rows  3 slice records  4 unlogged
-- ARGV  1 slice number  2 now, ms  3 how many fields of records, 4 or bytes of rows, make it big
-- returns {epoch, compressed rows, batch facts as a flat list, records as a flat list, unlogged rows,
--         1 if this is the first opening of the batch's slices, how many slices the rows have},
--         with an empty list instead of the records and the rows of a big slice;
--         {0, nil, batch facts, ...} if the rows have no such slice, which is not started;
--         or nil if the batch or its rows are gone

local size, held = redis.call("HSTRLEN", KEYS[2], ARGV[1]), redis.call("HLEN", KEYS[2])
if held == 0 or redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
if size == 0 then
  return {0, false, redis.call("HGETALL", KEYS[1]), {"epoch", 0}, {}, 0, held}
end
local big = size > tonumber(ARGV[4]) or redis.call("HLEN", KEYS[3]) > tonumber(ARGV[3])
local rows = big and {} or redis.call("HGET", KEYS[2], ARGV[1])
local epoch = redis.call("HINCRBY", KEYS[3], "epoch", 1)
redis.call("HINCRBY", KEYS[3], "begun", 1)
local starts = redis.call("HSETNX", KEYS[1], "started_at_ms", ARGV[2])
local facts = redis.call("HGETALL", KEYS[1])
local records = big and {} or redis.call("HGETALL", KEYS[3])
return {epoch, rows, facts, records, redis.call("SMEMBERS", KEYS[4]), starts, held}
