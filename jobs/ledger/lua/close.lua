-- Leave a slice: note what was logged; if all its responses are settled and logged it is done, and with
-- the last slice the batch is finished. Then all of it expires at once; of a batch with more than MOST slices, these
-- take steps of their own (`expiry.lua`), and end later than the batch.
--
-- KEYS  1 batch  2 slice records  3 unlogged  4 released  5 rows
-- ARGV  1 slice number  2 how many responses it has  3 now, ms  4 how long to keep a finished batch, s
--       5 the slices' keys without their numbers  6 the batch's wakes when the slice was opened
--       7 the archive of its records, "" for none  8 the digest of the records in it  9 their rows, with blanks between
--       10 rows of the selections that count as one response in 2, with blanks between
--       11 the slice's epoch  12 how many have died over it, of those who count  13.. rows that have been logged
-- returns "open", "woken" (open, and the batch was changed meanwhile: come back now), "done", "finished" (this slice was the last), or "gone"

local MOST = 500

-- Put the records away as one field, if they are the ones that were packed: else they stay as they are.
local function put_away()
  local fields, known, texts = redis.call("HGETALL", KEYS[2]), {}, {}
  for i = 1, #fields, 2 do
    known[fields[i]] = fields[i + 1]
  end
  for row in string.gmatch(ARGV[9], "%S+") do
    texts[#texts + 1] = known[row] or ""
    known[row] = nil
  end
  if redis.sha1hex(table.concat(texts, "\n")) ~= ARGV[8] then
    return
  end
  -- A hash keeps the room that it once needed, so what is left of it begins anew, and lasts as long as before.
  local lasts_ms = redis.call("PTTL", KEYS[2])
  redis.call("DEL", KEYS[2])
  redis.call("HSET", KEYS[2], "archive", ARGV[7])
  for field, text in pairs(known) do
    redis.call("HSET", KEYS[2], field, text)
  end
  if lasts_ms > 0 then
    redis.call("PEXPIRE", KEYS[2], lasts_ms)
  end
end

if redis.call("EXISTS", KEYS[1]) == 0 then
  return "gone"
end
for i = 13, #ARGV do
  redis.call("SREM", KEYS[3], ARGV[i])
end
for row in string.gmatch(ARGV[10], "%S+") do
  if redis.call("HGET", KEYS[2], "found:" .. row) then
    return "open" -- another worker has found what it counts for, and is at it
  end
end
if redis.call("HGET", KEYS[2], "epoch") == ARGV[11] then -- else whoever has opened it since counts
  if ARGV[12] == "0" then
    redis.call("HDEL", KEYS[2], "begun")
  else
    redis.call("HSET", KEYS[2], "begun", ARGV[12])
  end
end
local done = tonumber(redis.call("HGET", KEYS[2], "done") or "0")
if done < tonumber(ARGV[2]) or redis.call("SCARD", KEYS[3]) > 0 then
  return (redis.call("HGET", KEYS[1], "wakes") or "0") == ARGV[6] and "open" or "woken"
end
redis.call("SREM", KEYS[4], ARGV[1])
redis.call("HDEL", KEYS[2], "begun")
if ARGV[7] ~= "" then
  put_away()
end
if tonumber(redis.call("HGET", KEYS[1], "open")) > 0 or redis.call("SCARD", KEYS[4]) > 0 then
  return "done"
end
if redis.call("HSETNX", KEYS[1], "finished_at_ms", ARGV[3]) == 0 then
  return "done"
end
redis.call("EXPIRE", KEYS[1], ARGV[4])
redis.call("EXPIRE", KEYS[5], ARGV[4])
local slices = tonumber(redis.call("HGET", KEYS[1], "slices"))
if slices > MOST then
  local _, _, count = string.find(redis.call("HGET", KEYS[1], "expiry") or "", "^%d+ %a+ (%d+)")
  redis.call("HSET", KEYS[1], "expiry", string.format("%s expire %d %s", ARGV[3], (count or 0) + 1, ARGV[3]))
  return "finished"
end
for number = 0, slices - 1 do
  redis.call("EXPIRE", ARGV[5] .. number, ARGV[4])
end
return "finished"
