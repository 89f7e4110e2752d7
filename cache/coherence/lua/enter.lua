-- The head of every script of the coherence protocol: it determines the epoch. The
-- rules are those of protocol.go. They run here because the decision must be atomic
-- with the reads and writes. All keys of a call are in one hash slot.
--
-- KEYS[1] is the slot's hash. Its fields are the epoch (epoch), the server that made it
-- (server), the time when it settles (settles), '1' if the gateway that made it
-- remembered no epoch (virgin), an id of the operator's last purge (purge), the longest
-- lease or settling that the slot has had (bound), and, under 'l' and a resource's
-- hash, the leases on that resource. All of it is one key, so that a lease cannot be
-- lost while the epoch stays. The other KEYS are generations.
--
-- ARGV: 1 the epoch that this gateway remembers or '', 2 a fresh id, 3 how long a new
-- epoch settles, 4 '1' for strict, 5 how long a generation is kept (ms), then the
-- arguments of the script. Times and durations are microseconds of this server's clock.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- stored formats a time without an exponent.
local function stored(us)
  return string.format('%.0f', us)
end

-- longest is the longest lease or settling that the slot has had; a day if an older
-- version, which did not store it, made the slot. If a lease or settling would end
-- later than that from now, the clock was set back since. Its end is bounded: it began
-- before now, so it has ended by then.
local longest

-- lasting records the length of a lease or settling that is about to begin.
local function lasting(us)
  if us > longest then
    longest = us
    redis.call('HSET', KEYS[1], 'bound', stored(us))
  end
  return us
end

-- enter makes a new epoch if there is none (flush, eviction, empty restart), if another
-- server made this one (failover, restart from a snapshot: leases, generations and
-- bodies may have been rolled back), or if it was made without settling and this
-- gateway remembers an earlier one. A new epoch never shortens a settling under way.
local function enter()
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if not server then
    return nil
  end
  local known = redis.call('HMGET', KEYS[1], 'epoch', 'server', 'settles', 'virgin', 'purge', 'bound')
  longest = tonumber(known[6] or known[1] and 86400000000 or 0)
  local settles = tonumber(known[3] or 0)
  if settles > now + longest then
    settles = now + longest
    redis.call('HSET', KEYS[1], 'settles', stored(settles))
  end
  local remembered, virgin, settling = ARGV[1], '0', lasting(tonumber(ARGV[3]))
  if not known[1] and remembered == '' and ARGV[4] ~= '1' then
    virgin = '1'
  elseif not known[1] or known[2] ~= server or (known[4] == '1' and remembered ~= '' and remembered ~= known[1]) then
    settles = math.max(settles, now + settling)
  else
    return { id = known[1], settles = settles, purge = known[5] or '' }
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'server', server, 'settles', stored(settles), 'virgin', virgin)
  return { id = ARGV[2], settles = settles, purge = known[5] or '' }
end

-- A lease on a resource is a record of 32 bytes: the writer, and the end in 16 digits.
local record = 32

-- each calls visit with the writer and the end of each record.
local function each(leases, visit)
  for at = 1, #leases, record do
    visit(string.sub(leases, at, at + 15), tonumber(string.sub(leases, at + 16, at + 31)))
  end
end

-- bounded returns the leases with their ends bounded: none is later than the end of the
-- longest lease if it began now.
local function bounded(leases)
  local latest, changed, kept = now + longest, false, {}
  each(leases, function(by, ends)
    changed = changed or ends > latest
    kept[#kept + 1] = by .. string.format('%016.0f', math.min(ends, latest))
  end)
  return changed and table.concat(kept) or leases
end

-- outlive makes Redis expire a generation when the first of its leases runs out: a
-- lease that is not given back ends the generation too. The expiry is two milliseconds
-- early, because Redis counts whole milliseconds from the start of the script. That is
-- safe: while the lease is alive, no entry is stored under the id that a read makes in
-- its place.
local function outlive(key, leases)
  local first
  each(leases, function(_, ends) first = first and math.min(first, ends) or ends end)
  redis.call('PEXPIREAT', key, string.format('%.0f', math.floor(first / 1000) - 2))
end

-- last returns the end of the last of the leases.
local function last(leases)
  local latest = 0
  each(leases, function(_, ends) latest = math.max(latest, ends) end)
  return latest
end

local epoch = enter()
if not epoch then
  return redis.error_reply('ERR this server does not report its master_replid')
end
