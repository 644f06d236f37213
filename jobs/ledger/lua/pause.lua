-- Pause a mailbox for all workers until a moment, or longer if it is already paused for longer.
--
-- KEYS  1 throttled  2 throttled of the batch  3 away
-- ARGV  1 mailbox  2 until, ms  3 now, ms  4 life of these keys without another pause, s
--       5 how often in a row the mailbox was away by now, 0 if it is not for that
-- returns until when it is paused, ms

redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", ARGV[3])
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", ARGV[3])
local until_ms = math.max(tonumber(redis.call("ZSCORE", KEYS[1], ARGV[1]) or "0"), tonumber(ARGV[2]))
redis.call("ZADD", KEYS[1], until_ms, ARGV[1])
redis.call("ZADD", KEYS[2], until_ms, ARGV[1])
redis.call("EXPIRE", KEYS[1], ARGV[4])
redis.call("EXPIRE", KEYS[2], ARGV[4])
if tonumber(ARGV[5]) > 0 then
  redis.call("HSET", KEYS[3], ARGV[1], ARGV[5])
  redis.call("EXPIRE", KEYS[3], ARGV[4])
end
return until_ms
