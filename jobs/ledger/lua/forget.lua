-- Take batches that are gone out of an index; one that was committed anew meanwhile stays in it.
--
-- KEYS  1 the index, "batches" or "active"  2.. batches
-- ARGV  1 the command that takes out of it, "ZREM" or "SREM"  2.. the batches' ids, in the order of the keys
-- returns how many were taken out

local count = 0
for i = 2, #KEYS do
  if not redis.call("HGET", KEYS[i], "fingerprint") then
    count = count + redis.call(ARGV[1], KEYS[1], ARGV[i])
  end
end
return count
