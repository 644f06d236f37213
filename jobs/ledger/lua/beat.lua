-- Renew a worker's lease, and note by the clock of Redis that a worker has just reached the ledger.
--
-- What Redis still holds of that moment shows later how much it has forgotten, so it is not noted where Redis has
-- forgotten something and nobody has judged that yet.
--
-- Nor does a process note it that is new: it knows of nothing that could be missing. And where the clock of Redis was
-- set back, the moment stands still, and so does what the processes remember by it.
--
-- KEYS  1 the worker's lease  2 home ("history run")  3 beaten
-- ARGV  1 facts  2 how long the lease lasts, ms  3 the latest moment that this worker has noted, ms; 0 for none
--       4 1 if this process is new, else 0
-- returns {1 if the lease was renewed, the moment noted in ms or 0 for none, 1 if this Redis has to be judged}

-- include common

if not redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2], "XX") then
  return {0, 0, 0}
end
local home = redis.pcall("GET", KEYS[2])
home = type(home) == "string" and home
local history = home and history_of()
local beaten = number_at(KEYS[3])
local asks = home and string.find(home, "^0 ") -- in an inquiry
if asks or beaten < tonumber(ARGV[3]) or (history and string.match(home, "^%x+") ~= history) then
  return {1, 0, 1}
end
local time = redis.pcall("TIME")
if time.err then -- this user may not ask
  return {1, 0, 0}
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < beaten or (ARGV[4] == "1" and beaten > 0) then
  return {1, 0, 0}
end
redis.call("SET", KEYS[3], string.format("%d", now))
return {1, now, 0}
