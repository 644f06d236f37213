-- Leave a slice: note what was logged; if all its responses are settled and logged it is done, and with
-- the last slice the batch is finished.
--
-- KEYS  1 batch  2 slice records  3 unlogged  4 released  5 rows
-- ARGV  1 slice number  2 how many responses it has  3 now, ms  4 how long to keep a finished batch, s
--       5 the slices' keys without their numbers  6 the batch's wakes when the slice was opened
--       7.. rows that have been logged
-- returns "open", "woken" (open, and the batch was changed meanwhile: come back now), "done", "finished" (this slice was the last), or "gone"

if redis.call("EXISTS", KEYS[1]) == 0 then
  return "gone"
end
for i = 7, #ARGV do
  redis.call("SREM", KEYS[3], ARGV[i])
end
redis.call("HDEL", KEYS[2], "begun")
local done = tonumber(redis.call("HGET", KEYS[2], "done") or "0")
if done < tonumber(ARGV[2]) or redis.call("SCARD", KEYS[3]) > 0 then
  return (redis.call("HGET", KEYS[1], "wakes") or "0") == ARGV[6] and "open" or "woken"
end
redis.call("SREM", KEYS[4], ARGV[1])
if tonumber(redis.call("HGET", KEYS[1], "open")) > 0 or redis.call("SCARD", KEYS[4]) > 0 then
  return "done"
end
if redis.call("HSETNX", KEYS[1], "finished_at_ms", ARGV[3]) == 0 then
  return "done"
end
redis.call("EXPIRE", KEYS[1], ARGV[4])
redis.call("EXPIRE", KEYS[5], ARGV[4])
for number = 0, tonumber(redis.call("HGET", KEYS[1], "slices")) - 1 do
  redis.call("EXPIRE", ARGV[5] .. number, ARGV[4])
end
return "finished"
