-- Take the expiry from some slices of a finished batch, before a retry lets it go on.
--
-- The batch itself still expires. Whoever dies before the batch goes on leaves slices that outlive it, which
-- `sweep.lua` deletes before there is another batch of that id; no batch ever outlives its slices.
--
-- KEYS  1 batch
-- ARGV  1 the slices' keys without their numbers  2 the first number  3 the last one  4 the end of the batch, ms
--       5 1 if all slices have been kept by then, else 0
-- returns 1, or 0 if the batch goes on by now, or ended anew

if redis.call("HGET", KEYS[1], "finished_at_ms") ~= ARGV[4] then
  return 0
end
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  redis.call("PERSIST", ARGV[1] .. number)
end
if ARGV[5] == "1" then
  redis.call("HSET", KEYS[1], "kept_ms", ARGV[4])
end
return 1
