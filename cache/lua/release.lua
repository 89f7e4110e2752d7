-- A write ends: its leases are given back. One that has run out meanwhile, or is lost, has protected nothing, so that there is a new generation
-- in its place. ARGV: 6 the writer, then a lease field for each generation, then a fresh id for each. Returns the epoch.
local count = #KEYS - 1
for i = 1, count do
  local field = ARGV[6 + i]
  local leases = redis.call('HGET', KEYS[1], field) or ''
  local kept, held = {}, false
  each(leases, function(by, ends)
    if ends <= now then
      return
    end
    if by == ARGV[6] then
      held = true
    else
      kept[#kept + 1] = by .. string.format('%016.0f', ends)
    end
  end)
  if not held then
    redis.call('SET', KEYS[1 + i], ARGV[6 + count + i], 'PX', ARGV[5])
  end
  if #kept > 0 then
    redis.call('HSET', KEYS[1], field, table.concat(kept))
  elseif leases ~= '' then
    redis.call('HDEL', KEYS[1], field)
  end
end
return { epoch.id }
