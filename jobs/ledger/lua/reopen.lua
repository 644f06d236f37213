-- Queue settled responses of one slice again: `retry`.
--
-- What has not been logged yet is left alone: its line would be lost. Records that were put away are taken out.
--
-- A batch that was cancelled goes on if it is still at the end that the retry has seen. Any other cancel came later
-- and wins: nothing is queued, so that what failed can still be retried, and does not end as cancelled.
--
-- A finished batch goes on only when `keep.lua` has taken the expiry from all its slices since that end: no retry that
-- dies, and no slice that is closed meanwhile, leaves a batch of which a part expires by itself.
--
-- KEYS  1 batch  2 slice records  3 active  4 released  5 rows  6 unlogged
-- ARGV  1 batch id  2 slice number  3 new deadline, ms  4 the end of the cancelled batch that is to go on, ms; 0 for none
--       5 the slice's archive, "" for none  6 how many records are in it, then row and record of each,
--       then five for each response: row, record expected, record to set,
--       outcome it had, and 1 for a selection that has to find its events again, else 0
-- returns {how many were queued again, how many were left alone because they are not logged},
--         "expiring" if the slices are to be kept first; "cancelled" if the batch was cancelled meanwhile; "gone";
--         nil if the slice has another archive by now

local batch = redis.call("HMGET", KEYS[1], "fingerprint", "cancelled", "finished_at_ms", "kept_ms")
if not batch[1] then
  return "gone"
end
if batch[2] == "1" and batch[3] ~= ARGV[4] then
  return "cancelled"
end
local expiring = batch[3] and batch[3] ~= batch[4]
local first = 7 + 2 * ARGV[6]
local archive = redis.call("HGET", KEYS[2], "archive")
if archive and archive ~= ARGV[5] then
  return nil
end
if archive then
  for i = 7, first - 1, 2 do
    redis.call("HSET", KEYS[2], ARGV[i], ARGV[i + 1])
  end
  redis.call("HDEL", KEYS[2], "archive")
end

local count, left = 0, 0
for i = first, #ARGV, 5 do
  if redis.call("SISMEMBER", KEYS[6], ARGV[i]) == 1 then
    left = left + 1
  elseif redis.call("HGET", KEYS[2], ARGV[i]) == ARGV[i + 1] then
    if expiring then
      return "expiring"
    end
    redis.call("HSET", KEYS[2], ARGV[i], ARGV[i + 2])
    redis.call("HINCRBY", KEYS[2], "done", -1)
    redis.call("HINCRBY", KEYS[1], "outcome:" .. ARGV[i + 3], -1)
    redis.call("HINCRBY", KEYS[1], "finding", ARGV[i + 4])
    count = count + 1
  end
end
if count > 0 then
  redis.call("HINCRBY", KEYS[1], "open", count)
  redis.call("HSET", KEYS[1], "deadline_ms", ARGV[3], "retrying", 1)
  redis.call("HDEL", KEYS[1], "finished_at_ms", "announced", "cancelled", "kept_ms")
  redis.call("SADD", KEYS[4], ARGV[2])
  redis.call("PERSIST", KEYS[1])
  redis.call("PERSIST", KEYS[5])
  redis.call("PERSIST", KEYS[2]) -- an older version may have let it expire
  redis.call("SADD", KEYS[3], ARGV[1])
end
return {count, left}
