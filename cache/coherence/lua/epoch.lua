-- Reads the epoch or changes it. ARGV: 6 the action: 'look' only reads; 'purge' makes
-- every entry unservable, leases and settling stay; 'settle' makes a new epoch that
-- settles for the time in 7. Returns the epoch.
if ARGV[6] == 'purge' then
  redis.call('HSET', KEYS[1], 'purge', ARGV[2])
elseif ARGV[6] == 'settle' then
  epoch.id, epoch.settles = ARGV[2], math.max(epoch.settles, now + lasting(tonumber(ARGV[7])))
  redis.call('HSET', KEYS[1], 'epoch', epoch.id, 'settles', stored(epoch.settles))
end
return { epoch.id }
