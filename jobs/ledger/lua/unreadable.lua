-- Note how many responses of a slice have records that cannot be read, for who asks how the batch stands.
--
-- KEYS  1 batch
-- ARGV  1 slice number  2 how many
-- returns nothing

if redis.call("EXISTS", KEYS[1]) == 0 then
  return
end
if ARGV[2] == "0" then
  redis.call("HDEL", KEYS[1], "unreadable:" .. ARGV[1])
else
  redis.call("HSET", KEYS[1], "unreadable:" .. ARGV[1], ARGV[2])
end
