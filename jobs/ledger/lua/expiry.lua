-- Give some slices of a finished batch their expiry ("expire"), or take it from them ("keep"), before a retry lets the
-- batch go on. Of a big batch it takes steps, and those of one purpose are a pass.
--
-- Nobody owns a pass. Who begins one for the other purpose takes over, and is not disturbed: the steps of the former
-- are refused from then on. Who wants the same joins. Only the end of a pass that keeps lets the batch go on
-- (`reopen.lua`), so no batch ever outlives a slice. Who dies in a pass leaves the batch among the active ones, and
-- `rescue.py` lets expire what does not.
--
-- KEYS  1 batch  2 active
-- ARGV  1 batch id  2 "expire" or "keep"  3 the end of the batch, ms  4 the pass, "" for its first step
--       5 the slices' keys without their numbers  6 the first number  7 the last one  8 how long to keep them, s
--       9 now, ms
-- returns the pass, or nil if there is nothing to do in it any more: the batch goes on by now, or ended anew, or
--         there is another pass

local batch = redis.call("HMGET", KEYS[1], "finished_at_ms", "expiry", "slices", "announced")
if batch[1] ~= ARGV[3] then
  return nil
end
local pass = batch[2] or ""
if ARGV[4] == "" then
  local ends, purpose, count = string.match(pass, "^(%d+) (%a+) (%d+)")
  if ends ~= ARGV[3] or purpose ~= ARGV[2] then
    pass = string.format("%s %s %d %s", ARGV[3], ARGV[2], (count or 0) + 1, ARGV[9])
    redis.call("HSET", KEYS[1], "expiry", pass)
    redis.call("HDEL", KEYS[1], "kept_ms")
  end
  redis.call("SADD", KEYS[2], ARGV[1])
elseif ARGV[4] ~= pass then
  return nil
end
for number = tonumber(ARGV[6]), tonumber(ARGV[7]) do
  if ARGV[2] == "keep" then
    redis.call("PERSIST", ARGV[5] .. number)
  else
    redis.call("EXPIRE", ARGV[5] .. number, ARGV[8])
  end
end
if tonumber(ARGV[7]) + 1 == tonumber(batch[3]) then
  if ARGV[2] == "keep" then
    redis.call("HSET", KEYS[1], "kept_ms", ARGV[3])
  else
    redis.call("HSET", KEYS[1], "expiry", (string.gsub(pass, "expire", "expired")))
    if batch[4] == "1" then
      redis.call("SREM", KEYS[2], ARGV[1])
    end
  end
end
return pass
