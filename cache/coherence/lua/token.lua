-- Reads the state of a token: the id under which its grants are given, which is made if
-- there is none, and its grant for one target. KEYS[1] is the token's id. KEYS[2] is
-- the grant: the id under which it was given, the time of its request in 16 digits, and
-- the rest, which only gateways read. ARGV: 1 a fresh id, 2 how long the id is kept
-- (ms). Times are microseconds of this server's clock. Returns the id, the grant
-- without its id or '', and the clock.
local time = redis.call('TIME')
local known = redis.call('MGET', KEYS[1], KEYS[2])
local id, given, grant = known[1], known[2], ''
if not id or #id ~= 16 then
  id = ARGV[1]
  redis.call('SET', KEYS[1], id, 'PX', ARGV[2])
elseif given and string.sub(given, 1, 16) == id then
  grant = string.sub(given, 17)
end
return { id, grant, string.format('%.0f', time[1] * 1000000 + time[2]) }
