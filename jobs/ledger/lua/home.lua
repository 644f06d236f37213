-- Judge the data of a Redis that answered "went_back", and take it as the ledger's home.
--
-- KEYS  1 home ("history run")  2 active  3 written
-- ARGV  1 now, ms  2 the latest moment that this worker has written at, ms
--       3 1 if every write is on the disk before it is answered, else 0  4 the batches' keys without their ids
-- returns a word, and the batches that were put in doubt:
--         "same" nothing was lost, or another worker has judged already
--         "went_back" what was written is not there
--         "failed_over" a replica has become the primary; what it had not heard of is lost
--         "restarted" a server was started that may have lost what was not on the disk

local told = redis.pcall("INFO", "replication")
local text = type(told) == "string" and told or ""
local history, before = string.match(text, "master_replid:(%x+)"), string.match(text, "master_replid2:(%x+)")
local run = history and string.match(redis.call("INFO", "server"), "run_id:(%x+)") or ""
local home_history, home_run = string.match(redis.call("GET", KEYS[1]) or "", "^(%x+) (%x*)")

local word = "same"
if tonumber(redis.call("GET", KEYS[3]) or "0") < tonumber(ARGV[2]) then
  word = "went_back"
elseif history and home_history and home_history ~= history then
  if before and string.find(before, "[^0]") then
    word = "failed_over"
  elseif home_run ~= run and ARGV[3] ~= "1" then
    word = "restarted"  -- under the same run it has only begun another history for want of replicas
  end
end
if history then
  redis.call("SET", KEYS[1], history .. " " .. run)
end
if word == "same" then
  return {word}
end
local batches = redis.call("SMEMBERS", KEYS[2])
for _, batch in ipairs(batches) do
  redis.call("HSET", ARGV[4] .. batch, "doubted_ms", ARGV[1])
end
redis.call("SET", KEYS[3], ARGV[1])
return {word, unpack(batches)}
