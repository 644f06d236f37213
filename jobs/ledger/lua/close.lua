-- Leave a slice: note what was logged; if all its responses are settled and logged it is done, and with
-- the last slice the batch is finished.
--
-- KEYS  1 batch  2 slice records  3 unlogged  4 released  5 rows
-- ARGV  1 slice number  2 how many responses it has  3 now, ms  4 how long to keep a finished batch, s
--       5 the slices' keys without their numbers  6 the batch's wakes when the slice was opened
--       7 the archive of its records, "" for none  8 the digest of the records in it  9 their rows, with blanks between
--       10 rows of the selections that count as one response in 2, with blanks between  11.. rows that have been logged
-- returns "open", "woken" (open, and the batch was changed meanwhile: come back now), "done", "finished" (this slice was the last), or "gone"

-- Redis takes some thousand arguments at most from a table.
local function by_thousands(command, list)
  local answers = {}
  for first = 1, #list, 1000 do
    answers[#answers + 1] = redis.call(command, KEYS[2], unpack(list, first, math.min(first + 999, #list)))
  end
  return answers
end

-- Put the records away as one field, if they are the ones that were packed: else they stay as they are.
local function put_away()
  local rows, texts = {}, {}
  for row in string.gmatch(ARGV[9], "%S+") do
    rows[#rows + 1] = row
  end
  for _, some in ipairs(by_thousands("HMGET", rows)) do
    for _, text in ipairs(some) do
      texts[#texts + 1] = text or ""
    end
  end
  if redis.sha1hex(table.concat(texts, "\n")) ~= ARGV[8] then
    return
  end
  by_thousands("HDEL", rows)
  -- A hash keeps the room that it once needed, so what is left of it begins anew.
  local left = redis.call("HGETALL", KEYS[2])
  redis.call("DEL", KEYS[2])
  redis.call("HSET", KEYS[2], "archive", ARGV[7])
  by_thousands("HSET", left)
  local batch = redis.call("HMGET", KEYS[1], "finished_at_ms", "kept_ms")
  if batch[1] and batch[1] ~= batch[2] then -- else a retry is about to let the batch go on
    redis.call("EXPIRE", KEYS[2], ARGV[4])
  end
end

if redis.call("EXISTS", KEYS[1]) == 0 then
  return "gone"
end
for i = 11, #ARGV do
  redis.call("SREM", KEYS[3], ARGV[i])
end
for row in string.gmatch(ARGV[10], "%S+") do
  if redis.call("HGET", KEYS[2], "found:" .. row) then
    return "open" -- another worker has found what it counts for, and is at it
  end
end
redis.call("HDEL", KEYS[2], "begun")
local done = tonumber(redis.call("HGET", KEYS[2], "done") or "0")
if done < tonumber(ARGV[2]) or redis.call("SCARD", KEYS[3]) > 0 then
  return (redis.call("HGET", KEYS[1], "wakes") or "0") == ARGV[6] and "open" or "woken"
end
redis.call("SREM", KEYS[4], ARGV[1])
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
for number = 0, tonumber(redis.call("HGET", KEYS[1], "slices")) - 1 do
  redis.call("EXPIRE", ARGV[5] .. number, ARGV[4])
end
return "finished"
