-- Begins a write: a lease on each resource. The generation ends when the lease runs
-- out. ARGV: 6 the writer, 7 the length of the lease (0: no lease, but a new generation
-- at once), 8 the maximum number of separate leases on one resource, 9 the maximum
-- number of leased resources in a slot, then the lease field of each generation, then a
-- fresh id for each. Returns the epoch, and the number of leases for which there was no
-- room.
local count = #KEYS - 1
local ends = now + lasting(tonumber(ARGV[7]))
local shared_writer = string.rep('\0', 16)
local settled = 0

-- sweep deletes leases that have run out, and reports whether that made room. It does
-- not run again before the next lease runs out. A lease that it bounds does not change
-- its generation: entries stored under that generation have an epoch that has been
-- replaced.
local function sweep()
  local full = tonumber(redis.call('HGET', KEYS[1], 'full') or 0)
  if full > now and full <= now + longest then
    return false
  end
  full = 0
  local fields = redis.call('HGETALL', KEYS[1])
  local left = 0
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 1) == 'l' then
      local leases = bounded(fields[i + 1])
      if leases ~= fields[i + 1] then
        epoch.id = ARGV[2]
        redis.call('HSET', KEYS[1], fields[i], leases, 'epoch', epoch.id)
      end
      local run = last(leases)
      if run <= now then
        redis.call('HDEL', KEYS[1], fields[i])
      else
        left = left + 1
        full = full == 0 and run or math.min(full, run)
      end
    end
  end
  if left < tonumber(ARGV[9]) then
    redis.call('HDEL', KEYS[1], 'full')
    return true
  end
  redis.call('HSET', KEYS[1], 'full', stored(full))
  return false
end

local function hold(key, field)
  local leases = redis.call('HGET', KEYS[1], field)
  if not leases and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[9]) and not sweep() then
    -- no room for the lease: it is held on the whole slot
    settled = settled + 1
    epoch.id, epoch.settles = ARGV[2], math.max(epoch.settles, ends)
    redis.call('HSET', KEYS[1], 'epoch', epoch.id, 'settles', stored(epoch.settles))
    return
  end
  leases = bounded(leases or '')
  local writer, till = ARGV[6], ends
  if #leases >= record * ARGV[8] then
    writer = shared_writer
  end
  local kept = {}
  each(leases, function(by, ends)
    if by == writer then
      till = math.max(till, ends)
    elseif ends > now then
      kept[#kept + 1] = by .. string.format('%016.0f', ends)
    end
  end)
  kept[#kept + 1] = writer .. string.format('%016.0f', till)
  leases = table.concat(kept)
  redis.call('HSET', KEYS[1], field, leases)
  outlive(key, leases)
end

for i = 1, count do
  if tonumber(ARGV[7]) > 0 then
    hold(KEYS[1 + i], ARGV[9 + i])
  else
    redis.call('SET', KEYS[1 + i], ARGV[9 + count + i], 'PX', ARGV[5])
  end
end
return { epoch.id, tostring(settled) }
