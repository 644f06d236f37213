-- Take the leases of mailboxes for one slice.
--
-- A lease names the worker and the slice that hold it, and is good as long as that worker lives; a worker
-- renews one key of its own instead of one for each mailbox.
--
-- When that worker is dead, its calls may still be under way. Whoever opens its slice counts them; until then, or
-- until they must have ended, nobody else takes the mailbox. The lease names the slice only meanwhile.
--
-- KEYS  1 the worker's lease  2 throttled  3 away  4 unended  5.. mailboxes' leases
-- ARGV  1 holder ("worker|batch|slice")  2 now, ms  3 longest life of a lease, ms
--       4 prefix of workers' leases  5 after what time a dead worker's calls must have ended, ms
--       6 prefix of mailboxes' calls of dead workers  7.. mailboxes' names, in the order of the keys
-- returns for each mailbox: 0 taken; a time in ms: paused until then; -1 held by another slice;
--         less than -1: taken, and away for so many times in a row, less one (-3 is twice);
--         then three for each that is taken and where calls of dead workers may be under way: its place in the order,
--         how many they are, and when the first of them must have ended, ms;
--         or the empty list if the worker's own lease is lost

if redis.call("EXISTS", KEYS[1]) == 0 then
  return {}
end
local slice = string.match(ARGV[1], "|.*$")
local LONGEST_MS = 2 * 86400 * 1000

-- What is not of the type that it should be is none of ours, and counts as not there; nor does a pause of ours, or a
-- call, last longer than a lease of two days, or a mailbox stay away more than a thousand times.
local function value_of(...)
  local value = redis.pcall(...)
  return type(value) ~= "table" and value or nil
end

local function number_of(most, ...)
  local number = tonumber(value_of(...) or "0") or 0
  return number <= most and number or 0
end

local any_away = redis.call("EXISTS", KEYS[3]) == 1
local any_unended = redis.call("EXISTS", KEYS[4]) == 1
local answers, unended = {}, {}
for i = 5, #KEYS do
  local place = i - 4
  local mailbox = ARGV[place + 6]
  local until_ms = number_of(ARGV[2] + LONGEST_MS, "ZSCORE", KEYS[2], mailbox)
  local holder = value_of("GET", KEYS[i])
  local worker, of_slice, lives = "", slice, false
  if holder and holder ~= ARGV[1] then
    worker, of_slice = string.match(holder, "^([^|]*)(.*)$")
    lives = worker ~= "" and redis.call("EXISTS", ARGV[4] .. worker) == 1
  end
  if until_ms > tonumber(ARGV[2]) then
    answers[place] = until_ms
  elseif lives then
    answers[place] = -1
  elseif of_slice ~= slice then
    if worker ~= "" then
      redis.call("SET", KEYS[i], of_slice, "PX", ARGV[5])
    end
    answers[place] = -1
  else
    redis.call("SET", KEYS[i], ARGV[1], "PX", ARGV[3])
    local away = any_away and number_of(1000, "HGET", KEYS[3], mailbox) or 0
    answers[place] = away > 0 and -1 - away or 0
    local calls = any_unended
      and redis.pcall("ZRANGEBYSCORE", ARGV[6] .. mailbox, "(" .. ARGV[2], ARGV[2] + LONGEST_MS, "WITHSCORES") or {}
    if #calls > 0 then
      unended[#unended + 1] = place - 1
      unended[#unended + 1] = #calls / 2
      unended[#unended + 1] = tonumber(calls[2])
    end
  end
end
for _, told in ipairs(unended) do
  answers[#answers + 1] = told
end
return answers
