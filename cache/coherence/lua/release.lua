-- Ends a write: its leases are given back. A resource gets a new generation if the
-- write may have changed something, or if its lease has run out or was lost, so that it
-- protected no read. Otherwise the generation stays, as long as the leases of other
-- writers allow. ARGV: 6 the writer, 7 '1' if the write may have changed something,
-- then the lease field of each generation, then a fresh id for each. Returns the epoch.
local count = #KEYS - 1
for i = 1, count do
  local field = ARGV[7 + i]
  local leases = bounded(redis.call('HGET', KEYS[1], field) or '')
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
  if #kept > 0 then
    redis.call('HSET', KEYS[1], field, table.concat(kept))
  elseif leases ~= '' then
    redis.call('HDEL', KEYS[1], field)
  end
  if ARGV[7] == '1' or not held then
    redis.call('SET', KEYS[1 + i], ARGV[7 + count + i], 'PX', ARGV[5])
  elseif #kept > 0 then
    outlive(KEYS[1 + i], table.concat(kept))
  else
    redis.call('PEXPIRE', KEYS[1 + i], ARGV[5])
  end
end
return { epoch.id }
