-- A look at the epoch, or a new one. ARGV: 6 what to do: 'look' no more; 'purge' make every entry unservable, leases and settling stay; 'settle' a new
-- epoch that settles for as long as 7 says. Returns the epoch.
if ARGV[6] == 'purge' then
  redis.call('HSET', KEYS[1], 'purge', ARGV[2])
elseif ARGV[6] == 'settle' then
  epoch.id, epoch.settles = ARGV[2], math.max(epoch.settles, now + lasting(tonumber(ARGV[7])))
  redis.call('HSET', KEYS[1], 'epoch', epoch.id, 'settles', stored(epoch.settles))
end
return { epoch.id }
