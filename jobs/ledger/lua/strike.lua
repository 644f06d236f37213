-- Take processes off the crew that live no more: what they have written is older than this.
--
-- KEYS  1 crew, then the lease of each process
-- ARGV  process and name of its lease, in turn
-- returns how many there were

local count = 0
for i = 1, #ARGV, 2 do
  if redis.call("HGET", KEYS[1], ARGV[i]) == ARGV[i + 1] and redis.call("EXISTS", KEYS[1 + (i + 1) / 2]) == 0 then
    count = count + redis.call("HDEL", KEYS[1], ARGV[i])
  end
end
return count
