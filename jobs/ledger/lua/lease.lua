-- Take the leases of mailboxes for one slice.
--
-- A lease names the worker and the slice that hold it, and is good as long as that worker lives; a worker
-- renews one key of its own instead of one for each mailbox.
--
-- KEYS  1 the worker's lease  2 throttled  3 away  4.. mailboxes' leases
-- ARGV  1 holder ("worker|batch|slice")  2 now, ms  3 longest life of a lease, ms
--       4 prefix of workers' leases  5.. mailboxes' names, in the order of the keys
-- returns for each mailbox: 0 taken; a time in ms: paused until then; -1 held by another slice;
--         less than -1: taken, and away for so many times in a row, less one (-3 is twice);
--         or the empty list if the worker's own lease is lost

if redis.call("EXISTS", KEYS[1]) == 0 then
  return {}
end
local any_away = redis.call("EXISTS", KEYS[3]) == 1
local answers = {}
for i = 4, #KEYS do
  local mailbox = ARGV[i + 1]
  local until_ms = tonumber(redis.call("ZSCORE", KEYS[2], mailbox) or "0")
  local holder = redis.call("GET", KEYS[i])
  local worker = holder and string.match(holder, "^[^|]*")
  if until_ms > tonumber(ARGV[2]) then
    answers[i - 3] = until_ms
  elseif holder and holder ~= ARGV[1] and redis.call("EXISTS", ARGV[4] .. worker) == 1 then
    answers[i - 3] = -1
  else
    redis.call("SET", KEYS[i], ARGV[1], "PX", ARGV[3])
    local away = any_away and tonumber(redis.call("HGET", KEYS[3], mailbox) or "0") or 0
    answers[i - 3] = away > 0 and -1 - away or 0
  end
end
return answers
