-- What is known of a token: the id under which its grants are given, made where there is none, and its grant for one place.
-- KEYS[1] is the token's id, KEYS[2] the grant: the id under which it was given, in 16 digits when upstream was asked, and what gateways know
-- it by.
-- ARGV: 1 a fresh id, 2 how long the id is kept (ms). Instants are microseconds of this server's clock.
-- Returns the id, what follows it in the grant or '', and the clock.
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
