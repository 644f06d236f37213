-- Write what has gathered for one slice: marks, records and endings, each compared and set by itself.
--
-- KEYS  1 batch  2 slice records  3 unlogged  4 the worker's lease  5 written  6 home
-- ARGV  1 epoch  2 now, ms  3 rate of calls per mailbox, per ms  4 burst of calls per mailbox
--       5 replies from Graph to count  6 of these, throttled
--       7 the latest moment that this worker has written at, ms
--       8 since when the batch was in doubt when the slice was opened, ms
--       9 how many rows have been logged, then these rows,
--       then six for each entry: kind, row, record expected ("" for none), record to set,
--                                outcome (settle), key of the mailbox's allowance (mark, look)
-- kinds "mark"   a call that sends is about to be made: granted only under the current epoch and a living
--                lease, in a batch that is neither paused nor cancelled, within the mailbox's allowance
--       "look"   a call that reads is about to be made: as a mark, but sets no record and minds no flag
--       "note"   what a call has shown; true under any epoch, as long as the record is the one expected
--       "settle" as a note, and the end of the response: counted, and to be logged
--       "unfound" as settle, for a selection that has found nothing and never will
-- returns for each entry "ok", "conflict", "stale" (epoch or lease lost, or the batch put in doubt since the
--         slice was opened), "paused", "cancelled", "gone",
--         "went_back" (this Redis has forgotten what was written, or is another one than before and may have:
--         its data are older than they were, or `home.lua` has still to judge them),
--         or the milliseconds to wait for the mailbox's allowance, as a number
--
-- A repeated note or settle, after a reply that was lost, finds the record already set and answers "ok".
-- Where the records were put away all have ended, and every write answers "conflict"; whether it is such a
-- repetition can be read in the archive, and `slices.py` does.

local batch = redis.call("HMGET", KEYS[1], "fingerprint", "paused", "cancelled", "doubted_ms")
local gone = not batch[1]
local now = tonumber(ARGV[2])

if not gone and (ARGV[5] ~= "0" or ARGV[6] ~= "0") then
  redis.call("HINCRBY", KEYS[1], "calls", ARGV[5])
  redis.call("HINCRBY", KEYS[1], "waits", ARGV[6])
end

-- One command for many: each costs as much as what it does. Lua's stack holds no more than PART at once.
local PART = 4000

local function all_at_once(command, key, list)
  local replies = {}
  for i = 1, #list, PART do
    replies[#replies + 1] = redis.call(command, key, unpack(list, i, math.min(i + PART - 1, #list)))
  end
  return replies
end

local first = 10 + tonumber(ARGV[9])
local logged, rows = {}, {}
for i = 10, first - 1 do
  logged[#logged + 1] = ARGV[i]
end
for i = first, #ARGV, 6 do
  rows[#rows + 1] = ARGV[i + 1]
end
all_at_once("SREM", KEYS[3], logged)

-- The history that this Redis writes has an id. A replica that is promoted begins another one, and so does a
-- server that is started; where INFO does not show it there is nothing to compare.
local function moved()
  local told = redis.pcall("INFO", "replication")
  local history = type(told) == "string" and string.match(told, "master_replid:(%x+)")
  if not history then
    return false
  end
  local home = redis.call("GET", KEYS[6])
  if not home then
    local run = string.match(redis.call("INFO", "server"), "run_id:(%x+)") or ""
    redis.call("SET", KEYS[6], history .. " " .. run)
    return false
  end
  return string.match(home, "^%x+") ~= history
end

local asks = false
for i = first, #ARGV, 6 do
  asks = asks or ARGV[i] == "mark" or ARGV[i] == "look"
end

local written = tonumber(redis.call("GET", KEYS[5]) or "0")
local went_back = written < tonumber(ARGV[7]) or (asks and not gone and moved())
if now > written and not went_back and not gone then
  redis.call("SET", KEYS[5], ARGV[2])
end

local may_call
if gone then
  may_call = "gone"
elseif went_back then
  may_call = "went_back"
elseif (batch[4] or "0") ~= ARGV[8] then
  may_call = "stale"
elseif redis.call("HGET", KEYS[2], "epoch") ~= ARGV[1] or redis.call("EXISTS", KEYS[4]) == 0 then
  may_call = "stale"
end

local may_mark = may_call
if not may_mark then
  may_mark = (batch[3] == "1" and "cancelled") or (batch[2] == "1" and "paused") or nil
end

local put_away = redis.call("HGET", KEYS[2], "archive")

-- The allowance is a generic cell rate: one number a mailbox, the time at which it is full again.
local function take(bucket)
  local interval = 1 / tonumber(ARGV[3])
  local full_at = math.max(tonumber(redis.call("GET", bucket) or "0"), now) + interval
  local wait = full_at - now - tonumber(ARGV[4]) * interval
  if wait > 0 then
    return math.ceil(wait)
  end
  redis.call("SET", bucket, string.format("%.3f", full_at), "PX", math.ceil(full_at - now))
  return nil
end

-- The records as they are, and, as this goes on, as they will be.
local records = {}
for part, found in ipairs(all_at_once("HMGET", KEYS[2], rows)) do
  for i, record in ipairs(found) do
    records[rows[(part - 1) * PART + i]] = record or ""
  end
end

local changed, ended, outcomes, unfound = {}, {}, {}, 0

local function write(kind, row, expected, record, outcome, bucket)
  if gone then
    return "gone"
  end
  local refused = (kind == "mark" and may_mark) or (kind == "look" and may_call)
  if refused then
    return refused
  end
  if put_away then
    return "conflict"
  end
  if records[row] ~= expected then
    return (records[row] == record and kind ~= "mark" and kind ~= "look") and "ok" or "conflict"
  end
  if kind == "mark" or kind == "look" then
    local wait = take(bucket)
    if wait then
      return wait
    end
  end
  if kind == "look" then
    return "ok"
  end
  records[row] = record
  changed[#changed + 1] = row
  changed[#changed + 1] = record
  if kind == "unfound" then
    unfound = unfound + 1
  end
  if kind == "settle" or kind == "unfound" then
    ended[#ended + 1] = row
    outcomes[outcome] = (outcomes[outcome] or 0) + 1
  end
  return "ok"
end

local answers = {}
for i = first, #ARGV, 6 do
  answers[#answers + 1] = write(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
end

all_at_once("HSET", KEYS[2], changed)
all_at_once("SADD", KEYS[3], ended)
if #ended > 0 then
  redis.call("HINCRBY", KEYS[1], "open", -#ended)
  redis.call("HINCRBY", KEYS[2], "done", #ended)
end
if unfound > 0 then
  redis.call("HINCRBY", KEYS[1], "finding", -unfound)
end
for outcome, count in pairs(outcomes) do
  redis.call("HINCRBY", KEYS[1], "outcome:" .. outcome, count)
end
return answers
