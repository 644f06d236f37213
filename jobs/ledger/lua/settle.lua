-- End an inquiry: this Redis is the ledger's home from now on, and marks are granted again.
--
-- KEYS  1 home ("history run")  2 written  3 inquiry  4 asked  5 beaten
-- ARGV  1 the inquiry's id  2 now, ms
-- returns 1; 0 if that inquiry is over, or Redis is again another one

-- include common

local inquiry = redis.call("HMGET", KEYS[3], "id", "history", "written_ms", "reached_ms")
if inquiry[1] ~= ARGV[1] then
  return 0
end
local history = history_of() or ""
if history ~= "" and inquiry[2] ~= "" and history ~= inquiry[2] then
  return 0
end
local written = math.max(tonumber(ARGV[2]), tonumber(inquiry[3] or "0"), number_at(KEYS[2]))
redis.call("SET", KEYS[2], string.format("%d", written))
local beaten = math.max(tonumber(inquiry[4] or "0"), number_at(KEYS[5]))
redis.call("SET", KEYS[5], string.format("%d", beaten))
redis.call("DEL", KEYS[3], KEYS[4])
history = history == "" and inquiry[2] or history
if history == "" then -- nothing to compare: whoever is granted a mark next sets it
  redis.call("DEL", KEYS[1])
else
  redis.call("SET", KEYS[1], history .. " " .. run_of())
end
return 1
