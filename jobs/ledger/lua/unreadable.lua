-- Note how many responses of a slice have records that cannot be read, for who asks how the batch stands.
--
-- Whoever gives a slice up that he cannot read has not died over it: the opening is not counted any more.
--
-- KEYS  1 batch  2 slice records
-- ARGV  1 slice number  2 how many, "" if that is not known  3 epoch of the opening that is given up, "" for none
-- returns nothing

if redis.call("EXISTS", KEYS[1]) == 0 then
  return
end
if ARGV[2] == "0" then
  redis.call("HDEL", KEYS[1], "unreadable:" .. ARGV[1])
elseif ARGV[2] ~= "" then
  redis.call("HSET", KEYS[1], "unreadable:" .. ARGV[1], ARGV[2])
end
local epoch = redis.pcall("HGET", KEYS[2], "epoch")
if ARGV[3] ~= "" and tonumber(epoch) == tonumber(ARGV[3]) then -- numbers, for Lua tells large ones with less digits
  redis.call("HINCRBY", KEYS[2], "begun", -1)
end
