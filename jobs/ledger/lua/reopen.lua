-- Queue settled responses of one slice again: `retry`. Of a big slice they come in steps, each of them whole: what is
-- queued again is counted as open, and its slice is released, so that whoever dies between two steps leaves a batch
-- that goes on with what was queued, and keeps the rest as it has ended.
--
-- What has not been logged yet is left alone: its line would be lost. Records that were put away are taken out.
--
-- A batch that was cancelled goes on if it is still at the end that the retry has seen. Any other cancel came later
-- and wins: nothing is queued, so that what failed can still be retried, and does not end as cancelled.
--
-- A finished batch goes on only when `expiry.lua` has taken the expiry from all its slices since that end: no retry that
-- dies, and no slice that is closed meanwhile, leaves a batch of which a part expires by itself.
--
-- KEYS  1 batch  2 slice records  3 active  4 released  5 rows  6 unlogged
-- ARGV  1 batch id  2 slice number  3 new deadline, ms  4 the end of the cancelled batch that is to go on, ms; 0 for none
--       5 the slice's archive, "" for none  6 how many records are in it  7 until when this retry is at the batch, ms,
--       unless it says more; then row and record of each of those,
--       then five for each response: row, record expected, record to set,
--       outcome it had, and 1 for a selection that has to find its events again, else 0
-- returns {how many were queued again, how many were left alone because they are not logged},
--         "expiring" if the slices are to be kept first; "cancelled" if the batch was cancelled meanwhile; "gone";
--         nil if the slice has another archive by now

local batch = redis.call("HMGET", KEYS[1], "fingerprint", "cancelled", "finished_at_ms", "kept_ms")
if not batch[1] then
  return "gone"
end
if batch[2] == "1" and batch[3] ~= ARGV[4] then
  return "cancelled"
end
local expiring = batch[3] and batch[3] ~= batch[4]

-- One command for many: each costs as much as what it does. Lua's stack holds no more than PART at once.
local PART = 4000

local function set_all(first, last, list)
  for i = first, last, PART do
    redis.call("HSET", KEYS[2], unpack(list, i, math.min(i + PART - 1, last)))
  end
end

local function get_all(rows)
  local found = {}
  for i = 1, #rows, PART do
    for _, record in ipairs(redis.call("HMGET", KEYS[2], unpack(rows, i, math.min(i + PART - 1, #rows)))) do
      found[#found + 1] = record
    end
  end
  return found
end

local first = 8 + 2 * ARGV[6]
local archive = redis.call("HGET", KEYS[2], "archive")
if archive and archive ~= ARGV[5] then
  return nil
end
if archive then
  set_all(8, first - 1, ARGV)
  redis.call("HDEL", KEYS[2], "archive")
end

local rows = {}
for i = first, #ARGV, 5 do
  rows[#rows + 1] = ARGV[i]
end
local known, any_unlogged = get_all(rows), redis.call("SCARD", KEYS[6]) > 0

local reopened, outcomes, left, finding = {}, {}, 0, 0
for number, row in ipairs(rows) do
  local i = first + 5 * (number - 1)
  if any_unlogged and redis.call("SISMEMBER", KEYS[6], row) == 1 then
    left = left + 1
  elseif known[number] == ARGV[i + 1] then
    reopened[#reopened + 1] = row
    reopened[#reopened + 1] = ARGV[i + 2]
    outcomes[ARGV[i + 3]] = (outcomes[ARGV[i + 3]] or 0) + 1
    finding = finding + ARGV[i + 4]
  end
end
local count = #reopened / 2
if count > 0 then
  if expiring then
    return "expiring"
  end
  set_all(1, #reopened, reopened)
  redis.call("HINCRBY", KEYS[2], "done", -count)
  for outcome, by in pairs(outcomes) do
    redis.call("HINCRBY", KEYS[1], "outcome:" .. outcome, -by)
  end
  redis.call("HINCRBY", KEYS[1], "finding", finding)
  redis.call("HINCRBY", KEYS[1], "open", count)
  redis.call("HSET", KEYS[1], "deadline_ms", ARGV[3], "retrying", ARGV[7])
  redis.call("HDEL", KEYS[1], "finished_at_ms", "announced", "cancelled", "kept_ms")
  redis.call("SADD", KEYS[4], ARGV[2])
  redis.call("PERSIST", KEYS[1])
  redis.call("PERSIST", KEYS[5])
  redis.call("PERSIST", KEYS[2]) -- an older version may have let it expire
  redis.call("SADD", KEYS[3], ARGV[1])
end
return {count, left}
