-- Change flags of a batch that is under way: `pause`, `resume`, `cancel`.
--
-- A batch that a retry is at is under way too, even if it happens to be finished between two of its slices:
-- what the retry has still to queue has to mind the flag.
--
-- KEYS  1 batch
-- ARGV  1 now, ms  2.. flags and their values in turn
-- returns "changed"; "finished" or "cancelled" if there is nothing left to change; "gone"

local batch = redis.call("HMGET", KEYS[1], "fingerprint", "finished_at_ms", "cancelled", "retrying")
if not batch[1] then
  return "gone"
end
if batch[2] and (tonumber(batch[4] or "") or 0) <= tonumber(ARGV[1]) then
  return "finished"
end
if batch[3] == "1" then
  return "cancelled"
end
redis.call("HSET", KEYS[1], unpack(ARGV, 2))
return "changed"
