-- Pause a mailbox for all workers until a moment, or longer if it is already paused for longer.
--
-- KEYS  1 throttled  2 throttled of the batch  3 away
-- ARGV  1 mailbox  2 until, ms  3 now, ms  4 life of these keys without another pause, s
--       5 how often in a row the mailbox was away by now, 0 if it is not for that
-- returns until when it is paused, ms

-- What is not of the type that it should be is none of ours, and begins anew; nor does a pause of ours last longer than
-- these keys do.
for key = 1, 2 do
  if type(redis.pcall("ZREMRANGEBYSCORE", KEYS[key], "-inf", ARGV[3])) == "table" then
    redis.call("DEL", KEYS[key])
  end
end
local known_ms = tonumber(redis.call("ZSCORE", KEYS[1], ARGV[1]) or "0")
if known_ms > ARGV[3] + 1000 * ARGV[4] then
  known_ms = 0
end
local until_ms = math.max(known_ms, tonumber(ARGV[2]))
redis.call("ZADD", KEYS[1], until_ms, ARGV[1])
redis.call("ZADD", KEYS[2], until_ms, ARGV[1])
redis.call("EXPIRE", KEYS[1], ARGV[4])
redis.call("EXPIRE", KEYS[2], ARGV[4])
if tonumber(ARGV[5]) > 0 then
  if type(redis.pcall("HSET", KEYS[3], ARGV[1], ARGV[5])) == "table" then
    redis.call("DEL", KEYS[3])
    redis.call("HSET", KEYS[3], ARGV[1], ARGV[5])
  end
  redis.call("EXPIRE", KEYS[3], ARGV[4])
end
return until_ms
