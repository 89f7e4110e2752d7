-- The head of every script of the coherence protocol: which epoch is it? The rules are those of protocol.go, decided here where they must be
-- one with what is read and written. All keys of a call are in one hash slot.
--
-- KEYS[1] is the slot's hash. It holds the epoch (epoch), the server that made it (server), until when it settles (settles), whether a gateway made
-- it that remembered none (virgin), what the operator's last purge put over it (purge), the longest lease or settling that it has had (bound),
-- and under 'l' and a resource's hash the leases on that resource. One key, so that nothing can lose a lease and keep the epoch. KEYS[2] and on are generations.
-- ARGV: 1 the epoch this gateway remembers or '', 2 a fresh id, 3 how long a new epoch settles, 4 '1' for strict, 5 how long a generation
-- is kept (ms), then the script's own. Instants and durations are microseconds of this server's clock.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- stored writes an instant without an exponent.
local function stored(us)
  return string.format('%.0f', us)
end

-- longest is the longest lease or settling that the slot has had; of a slot of a version
-- that did not note it, a day. What ends later than that from now has a clock to thank that
-- was set back since, and is bounded: it was begun before now, and so is over by then.
local longest

-- lasting notes how long a lease or a settling is that is about to begin.
local function lasting(us)
  if us > longest then
    longest = us
    redis.call('HSET', KEYS[1], 'bound', stored(us))
  end
  return us
end

-- An epoch is new when there is none (flush, eviction, empty restart), when another server made this one (failover, restart from a snapshot: leases,
-- generations and bodies may have been rolled back), or when it was made without settling and this gateway remembers one before it. A
-- new one never shortens a running settling.
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

-- Leases on a resource are records of 32 bytes: the writer and, in 16 digits, until when.
local record = 32

-- each visits the records: the writer and the instant.
local function each(leases, visit)
  for at = 1, #leases, record do
    visit(string.sub(leases, at, at + 15), tonumber(string.sub(leases, at + 16, at + 31)))
  end
end

-- bounded returns the leases, none of which ends later than the longest one would that
-- began now.
local function bounded(leases)
  local latest, changed, kept = now + longest, false, {}
  each(leases, function(by, ends)
    changed = changed or ends > latest
    kept[#kept + 1] = by .. string.format('%016.0f', math.min(ends, latest))
  end)
  return changed and table.concat(kept) or leases
end

-- outlive gives a generation the end of the first of its leases to run out, by Redis's
-- own expiry: a lease that is not given back takes the generation along. Two
-- milliseconds early, because expiry counts whole milliseconds from the start of the
-- script: while the lease is alive nothing is stored under the id that a read makes in
-- its place.
local function outlive(key, leases)
  local first
  each(leases, function(_, ends) first = first and math.min(first, ends) or ends end)
  redis.call('PEXPIREAT', key, string.format('%.0f', math.floor(first / 1000) - 2))
end

-- last is when the last of the leases runs out.
local function last(leases)
  local latest = 0
  each(leases, function(_, ends) latest = math.max(latest, ends) end)
  return latest
end

local epoch = enter()
if not epoch then
  return redis.error_reply('ERR this server does not tell its master_replid')
end
