-- Write what has gathered for slices of one batch: marks, records and endings, each compared and set by itself.
--
-- KEYS  1 batch  2 the worker's lease  3 written  4 home, then two for each slice: its records, its unlogged rows
-- ARGV  1 now, ms  2 ms between two calls of a mailbox, if they were even  3 burst of calls of a mailbox
--       4 replies from Graph to count  5 of these, throttled
--       6 the latest moment that this worker has written at, ms
--       7 since when the batch was in doubt when the slices were opened, ms
--       then for each slice: its epoch, how many of its rows have been logged, these rows, how many entries it has,
--       and six for each of them: kind, row, record expected ("" for none), record to set,
--                                 outcome (settle), key of the mailbox's allowance (mark, look, page)
-- kinds "mark"   a call that sends is about to be made: granted only under the current epoch and a living
--                lease, in a batch that is neither paused nor cancelled, within the mailbox's allowance
--       "look"   a call that reads is about to be made: as a mark, but sets no record and minds no flag
--       "page"   a page of a calendar is about to be read: as a look, but minds the flags as a mark does
--       "note"   what a call has shown; true under any epoch, as long as the record is the one expected
--       "settle" as a note, and the end of the response: counted, and to be logged
--       "unfound" as settle, for a selection that has found nothing and never will
-- returns for each slice a list, for each of its entries "ok", "conflict",
--         "stale" (epoch or lease lost, or the batch put in doubt since the slice was opened),
--         "paused", "cancelled", "gone",
--         "went_back" (this Redis has forgotten what was written, or is another one than before and may have:
--         its data are older than they were, or `home.lua` has still to judge them),
--         or the milliseconds to wait for the mailbox's allowance, as a number
--
-- A repeated note or settle, after a reply that was lost, finds the record already set and answers "ok".
-- Where the records were put away all have ended, and every write answers "conflict"; whether it is such a
-- repetition can be read in the archive, and `slices.py` does.

local CALLS = { mark = true, look = true, page = true }

local now, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local asks, slices, at = false, {}, 8

for key = 5, #KEYS, 2 do
  local slice = { records = KEYS[key], unlogged = KEYS[key + 1], epoch = ARGV[at], logged = {} }
  slice.fields = { "epoch", "archive" }
  local last_logged = at + 1 + ARGV[at + 1]
  for i = at + 2, last_logged do
    slice.logged[#slice.logged + 1] = ARGV[i]
  end
  slice.first, slice.last = last_logged + 2, last_logged + 1 + 6 * ARGV[last_logged + 1]
  for i = slice.first, slice.last, 6 do
    slice.fields[#slice.fields + 1] = ARGV[i + 1]
    asks = asks or CALLS[ARGV[i]]
  end
  slices[#slices + 1], at = slice, slice.last + 1
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

local batch = redis.call("HMGET", KEYS[1], "fingerprint", "paused", "cancelled", "doubted_ms")
local gone = not batch[1]

local function count(field, by)
  if by ~= 0 then
    redis.call("HINCRBY", KEYS[1], field, by)
  end
end

if not gone then
  count("calls", tonumber(ARGV[4]))
  count("waits", tonumber(ARGV[5]))
end

-- What is no string is none of ours, and counts as an empty one.
local function text_of(key)
  local text = redis.pcall("GET", key)
  return type(text) == "table" and "" or text
end

-- The history that this Redis writes has an id. A replica that is promoted begins another one, and so does a
-- server that is started; where INFO does not show it there is nothing to compare. During an inquiry the home is "0".
local function moved()
  local home = text_of(KEYS[4])
  if home and string.find(home, "^0 ") then
    return true
  end
  local told = redis.pcall("INFO", "replication")
  local history = type(told) == "string" and string.match(told, "master_replid:(%x+)")
  if not history then
    return false
  end
  if not home then
    local run = string.match(redis.call("INFO", "server"), "run_id:(%x+)") or ""
    redis.call("SET", KEYS[4], history .. " " .. run)
    return false
  end
  return string.match(home, "^%x+") ~= history
end

local written = tonumber(text_of(KEYS[3]) or "0") or 0
local went_back = written < tonumber(ARGV[6]) or (asks and not gone and moved())
if now > written and not went_back and not gone then
  redis.call("SET", KEYS[3], ARGV[1])
end

-- What stands against any call in the batch, and against all but a look.
local no_call
if gone then
  no_call = "gone"
elseif went_back then
  no_call = "went_back"
elseif (batch[4] or "0") ~= ARGV[7] or redis.call("EXISTS", KEYS[2]) == 0 then
  no_call = "stale"
end
local no_mark = (batch[3] == "1" and "cancelled") or (batch[2] == "1" and "paused") or nil

-- The allowance is a generic cell rate: one number a mailbox, the time at which it is full again.
local function take(bucket)
  local full_at = tonumber(text_of(bucket) or "0") or 0
  if full_at > now + 2 * burst * interval then
    full_at = 0 -- no sum of calls: whoever wrote it, it is none of ours
  end
  full_at = math.max(full_at, now) + interval
  local wait = full_at - now - burst * interval
  if wait > 0 then
    return math.ceil(wait)
  end
  redis.call("SET", bucket, string.format("%d", full_at), "PX", string.format("%d", full_at - now))
  return nil
end

local outcomes, ended, unfound = {}, 0, 0

local function write(slice, kind, row, expected, record, outcome, bucket)
  if gone then
    return "gone"
  end
  local asked = CALLS[kind]
  local refused = asked and (slice.no_call or (kind ~= "look" and no_mark))
  if refused then
    return refused
  end
  if slice.put_away then
    return "conflict"
  end
  if kind == "unfound" and redis.call("HGET", slice.records, "found:" .. row) then
    return "conflict"
  end
  local current = slice.known[row]
  if current ~= expected then
    return (current == record and not asked) and "ok" or "conflict"
  end
  local wait = asked and take(bucket)
  if wait then
    return wait
  end
  if kind == "look" or kind == "page" then
    return "ok"
  end
  slice.known[row] = record
  slice.changed[#slice.changed + 1] = row
  slice.changed[#slice.changed + 1] = record
  if kind == "settle" or kind == "unfound" then
    slice.ended[#slice.ended + 1] = row
    outcomes[outcome] = (outcomes[outcome] or 0) + 1
    unfound = unfound + (kind == "unfound" and 1 or 0)
  end
  return "ok"
end

local function write_slice(slice)
  all_at_once("SREM", slice.unlogged, slice.logged)
  slice.known, slice.changed, slice.ended = {}, {}, {}
  for part, found in ipairs(all_at_once("HMGET", slice.records, slice.fields)) do
    for i, value in ipairs(found) do
      slice.known[slice.fields[(part - 1) * PART + i]] = value or ""
    end
  end
  slice.put_away = slice.known.archive ~= ""
  slice.no_call = no_call or (slice.known.epoch ~= slice.epoch and "stale") or nil
  local answers = {}
  for i = slice.first, slice.last, 6 do
    answers[#answers + 1] =
      write(slice, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
  all_at_once("HSET", slice.records, slice.changed)
  all_at_once("SADD", slice.unlogged, slice.ended)
  if #slice.ended > 0 then
    redis.call("HINCRBY", slice.records, "done", #slice.ended)
    ended = ended + #slice.ended
  end
  return answers
end

local answers = {}
for number, slice in ipairs(slices) do
  answers[number] = write_slice(slice)
end

count("open", -ended)
count("finding", -unfound)
for outcome, by in pairs(outcomes) do
  count("outcome:" .. outcome, by)
end
return answers
