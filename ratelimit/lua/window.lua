-- Takes one unit of a sliding window.
--
-- KEYS[1] is the log: the instants, in microseconds of this server's clock, at which
-- the latest units were taken, oldest first, 8 bytes each (doubles hold them exactly
-- until the year 2255). ARGV is the rate and the period in microseconds.
-- Returns whether the unit was taken, how many more would be, and the microseconds
-- until another one would be (0 if one would be now), until more would be than now, and
-- until all would be.
local rate, period = tonumber(ARGV[1]), tonumber(ARGV[2])
-- Expiry counts from the start of a script and in milliseconds: a second more is
-- never too early.
local life = math.ceil(period / 1000) + 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local log = redis.call('GET', KEYS[1]) or ''
local size = #log / 8

local function at(i)
  return (struct.unpack('<d', log, i * 8 - 7))
end

-- A clock that was set back, or another server's after a failover: as if the latest
-- unit had been taken just now and those before it as long before it as they were.
-- So never more than the rate get through, and nobody waits for the clock to catch up.
local ahead = size > 0 and at(size) - now or 0
if ahead > 0 then
  local moved = {}
  for i = 1, size do
    moved[i] = struct.pack('<d', at(i) - ahead)
  end
  log = table.concat(moved)
  redis.call('SET', KEYS[1], log, 'PX', life)
end

-- How many have left the window: those before the first that has not.
local gone, high = 0, size
while gone < high do
  local middle = math.floor((gone + high) / 2) + 1
  if at(middle) > now - period then
    high = middle - 1
  else
    gone = middle
  end
end

local taken = 0
if size - gone < rate then
  taken = 1
  log = string.sub(log, gone * 8 + 1) .. struct.pack('<d', now)
  size, gone = size - gone + 1, 0
  redis.call('SET', KEYS[1], log, 'PX', life)
end

local remaining = math.max(rate - (size - gone), 0)
-- More would be when the oldest has left, or, where there are more than a lower rate
-- permits, when so many have that fewer than the rate are there.
local more = at(math.max(size - rate, 0) + 1) + period - now
local retry = remaining == 0 and more or 0
return {taken, remaining, retry, more, at(size) + period - now}
