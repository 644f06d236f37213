-- Make a staged batch exist, in one step, or say that it already does.
--
-- Without a fingerprint there is no batch, whatever an older one of this id has left; its slices were swept before,
-- by `sweep.lua`, and without a batch nobody has opened one since.
--
-- No batch is without a home: what is lost before its first mark was granted would not be noticed.
--
-- KEYS  1 batch  2 staging  3 rows  4 batches  5 active  6 released  7 throttled  8 announcing
--       9 home ("history run")
-- ARGV  1 batch id  2 fingerprint  3 submitted at, ms  4.. the batch's facts, field and value in turn
-- returns "created"; "same" if the batch exists with this content; "other" if with other content;
--         "unstaged" if the staged rows are gone

-- include common

local known = redis.call("HGET", KEYS[1], "fingerprint")
if known then
  redis.call("UNLINK", KEYS[2]) -- which frees the room in the background, as of all that may be big
  return known == ARGV[2] and "same" or "other"
end
if redis.call("EXISTS", KEYS[2]) == 0 then
  return "unstaged"
end
redis.call("ZCOUNT", KEYS[4], 0, 0) -- which fail here, before anything has changed, if these are not
redis.call("SCARD", KEYS[5]) -- what they should be
redis.call("UNLINK", KEYS[1], KEYS[3], KEYS[6], KEYS[7], KEYS[8])
redis.call("RENAME", KEYS[2], KEYS[3])
redis.call("PERSIST", KEYS[3])
redis.call("HSET", KEYS[1], "fingerprint", ARGV[2], "submitted_at_ms", ARGV[3], unpack(ARGV, 4))
redis.call("ZADD", KEYS[4], ARGV[3], ARGV[1])
redis.call("SADD", KEYS[5], ARGV[1])
if redis.call("EXISTS", KEYS[9]) == 0 then
  local history = history_of()
  if history then
    redis.pcall("SET", KEYS[9], history .. " " .. run_of()) -- who may not leaves it to the first mark
  end
end
return "created"
