-- Reads the epoch and the generations, and makes a missing generation. ARGV: from 6 the
-- lease field of each generation, then a fresh id for each. Returns the epoch, purge,
-- the reason why it is closed or '', and the generations.
local count = #KEYS - 1
local answer = { epoch.id, epoch.purge, epoch.settles > now and 'settling' or '' }
local leases = redis.call('HMGET', KEYS[1], unpack(ARGV, 6, 5 + count))
for i = 1, count do
  local known = leases[i]
  leases[i] = known and bounded(known)
  if leases[i] ~= known then
    redis.call('HSET', KEYS[1], ARGV[5 + i], leases[i])
    outlive(KEYS[1 + i], leases[i])
  end
end
local ids = redis.call('MGET', unpack(KEYS, 2))
for i = 1, count do
  local id = ids[i]
  if not id then
    id = ARGV[5 + count + i]
    redis.call('SET', KEYS[1 + i], id, 'PX', ARGV[5])
  end
  answer[3 + i] = id
  if leases[i] and answer[3] == '' and last(leases[i]) > now then
    answer[3] = 'write-in-flight'
  end
end
return answer
