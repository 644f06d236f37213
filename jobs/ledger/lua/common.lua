-- What several scripts have in common; `script.py` puts it in the place of their line "-- include common".

-- The text that Redis answers a command with; "" where it is not there, of another type, or not allowed.
local function text_of(...)
  local text = redis.pcall(...)
  return type(text) == "string" and text or ""
end

-- What is no number, or larger than any of ours, counts as 0.
local function number_at(key)
  local number = tonumber(text_of("GET", key)) or 0
  return number < 2 ^ 53 and number or 0
end

-- The id of the history that this Redis writes; nil where INFO does not show it.
local function history_of()
  return string.match(text_of("INFO", "replication"), "master_replid:(%x+)")
end

local function run_of()
  return string.match(text_of("INFO", "server"), "run_id:(%x+)") or ""
end

-- Put a batch or a slice in doubt: later than it was before, whatever clock that is by, or it would pass for the same.
local function doubt(key, now)
  local before = tonumber(redis.call("HGET", key, "doubted_ms") or "0") or 0
  redis.call("HSET", key, "doubted_ms", string.format("%d", math.max(before + 1, tonumber(now))))
end
