-- Delete what is left of some slices of an older batch, which no batch may have that is to exist anew.
--
-- Where the batch exists nothing is deleted: another submit was faster, and its slices are at work.
--
-- KEYS  1 batch
-- ARGV  1 the slices' keys without their numbers  2 the first number  3 the last one, at most 1,000 later
-- returns 1, or 0 if the batch exists

if redis.call("HGET", KEYS[1], "fingerprint") then
  return 0
end
local left = {}
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  left[#left + 1] = ARGV[1] .. number
  left[#left + 1] = ARGV[1] .. number .. ":unlogged"
end
redis.call("UNLINK", unpack(left)) -- which frees the room of big ones in the background
return 1
