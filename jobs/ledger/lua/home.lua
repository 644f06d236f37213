-- Judge the data of a Redis that answered "went_back", and take it as the ledger's home, or begin an inquiry.
--
-- An inquiry asks every process of the crew what it may have marked lately. Until it is over the home is "0", which is
-- no history: no mark is granted to anybody.
--
-- KEYS  1 home ("history run")  2 written  3 inquiry  4 asked  5 crew  6 beaten
-- ARGV  1 now, ms  2 the latest moment that this worker has written at, ms
--       3 the latest moment that it has noted by the clock of Redis, ms; 0 for none
-- returns a word; the id of the inquiry that is under way; and, as this Redis has them from before, the latest moment
--         noted by its clock and the latest moment written at, ms:
--         "same" nothing was lost, or all has been judged
--         "went_back" what was written is not there
--         "failed_over" a replica has become the primary; what it had not heard of is lost
--         "restarted" a server was started that may have lost what was not on the disk

-- include common

local history, before = history_of(), string.match(text_of("INFO", "replication"), "master_replid2:(%x+)")
local run = history and run_of() or ""
local home_history, home_run = string.match(text_of("GET", KEYS[1]), "^(%x+) (%x*)")

local word = "same"
local beaten = number_at(KEYS[6])
local inquiry = redis.pcall("HMGET", KEYS[3], "id", "word", "history", "beaten_ms") -- none of ours has an error
if inquiry[1] and home_history == "0" then
  if inquiry[3] == history or not history or inquiry[3] == "" then -- else this Redis is again another one
    return {inquiry[2], inquiry[1], tonumber(inquiry[4]) or 0, number_at(KEYS[2])}
  end
  word = inquiry[2] -- whoever has been asked is asked anew
elseif home_history == "0" then
  word = "restarted" -- somebody has deleted the inquiry
elseif number_at(KEYS[2]) < tonumber(ARGV[2]) or beaten < tonumber(ARGV[3]) then
  word = "went_back"
elseif history and home_history and home_history ~= history then
  if before and string.find(before, "[^0]") then
    word = "failed_over"
  elseif home_run ~= run then
    word = "restarted" -- under the same run it has only begun another history for want of replicas
  end
end
if word == "same" then
  redis.call("DEL", KEYS[3], KEYS[4])
  if history then
    redis.call("SET", KEYS[1], history .. " " .. run)
  end
  return {word, "", beaten, number_at(KEYS[2])}
end

local id = ARGV[1] .. " " .. (history or "")
if inquiry[1] then
  beaten = math.min(beaten, tonumber(inquiry[4] or "0") or 0)
end
redis.call("DEL", KEYS[3], KEYS[4])
redis.call("HSET", KEYS[3], "id", id, "word", word, "history", history or "", "beaten_ms", string.format("%d", beaten))
local crew = redis.pcall("HGETALL", KEYS[5]) -- of another type nobody is on it, and so all workers are strangers
for i = 1, #crew, 2 do
  redis.call("SADD", KEYS[4], crew[i])
end
redis.call("SET", KEYS[1], "0 0")
return {word, id, beaten, number_at(KEYS[2])}
