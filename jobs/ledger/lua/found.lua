-- found
-- Put what a selection has found into its place: it counts instead of the selection from now on.
--
-- KEYS  1 batch  2 slice records
-- ARGV  1 row  2 record expected ("" for none)  3 what was found, packed  4 how many
-- returns "ok"; "conflict" if another worker has found or ended it meanwhile, even put it away; "gone"
--
-- Said again after a reply that was lost, it finds the same in its place and answers "ok".

if redis.call("EXISTS", KEYS[1]) == 0 then
  return "gone"
end
local field = "found:" .. ARGV[1]
local known = redis.call("HGET", KEYS[2], field)
if known then
  return known == ARGV[3] and "ok" or "conflict"
end
if redis.call("HGET", KEYS[2], "archive") or (redis.call("HGET", KEYS[2], ARGV[1]) or "") ~= ARGV[2] then
  return "conflict"
end
redis.call("HSET", KEYS[2], field, ARGV[3])
redis.call("HDEL", KEYS[2], ARGV[1])
redis.call("HINCRBY", KEYS[1], "total", tonumber(ARGV[4]) - 1)
redis.call("HINCRBY", KEYS[1], "open", tonumber(ARGV[4]) - 1)
redis.call("HINCRBY", KEYS[1], "finding", -1)
return "ok"
