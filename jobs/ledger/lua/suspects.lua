-- Note at which responses of a slice somebody may have died, as long as the slice is this worker's.
--
-- Whoever opens a slice anew begins a new count: what an earlier worker has to say of itself comes too late.
--
-- KEYS  1 slice records
-- ARGV  1 epoch  2 1 if no death counts any more, else 0  3.. fields and their values in turn, "" for none
-- returns 1, or 0 if the slice was opened anew

if redis.call("HGET", KEYS[1], "epoch") ~= ARGV[1] then
  return 0
end
if ARGV[2] == "1" then
  redis.call("HSET", KEYS[1], "begun", 0)
end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == "" then
    redis.call("HDEL", KEYS[1], ARGV[i])
  else
    redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 1
