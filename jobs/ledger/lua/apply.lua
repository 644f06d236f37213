-- Note of a plan which batch it was applied as: the first one says.
--
-- KEYS  1 batch
-- ARGV  1 the id of the batch that its responses are to become
-- returns the id of the batch that it was applied as, now or before; nil if the plan is gone

if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
redis.call("HSETNX", KEYS[1], "applied", ARGV[1])
return redis.call("HGET", KEYS[1], "applied")
