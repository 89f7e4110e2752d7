-- Stores a grant if the id under which it was given is still the token's; a token that
-- was refused since has another id. The grant lives from the time of its request. A
-- newer grant is not replaced, unless its time is in the future, which no gateway
-- writes. KEYS as in token.lua. ARGV: 1 the id, 2 the time of the request in 16 digits,
-- 3 how long the grant lives from then (ms), 4 how long the id is kept (ms), 5 the rest
-- of the grant, which only gateways read. Returns {}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked = tonumber(ARGV[2])
local ends = math.floor(asked / 1000) + ARGV[3]
if asked > now or ends * 1000 <= now or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {}
end
local known = redis.call('MGET', KEYS[2])[1]
local when = known and string.sub(known, 1, 16) == ARGV[1] and string.sub(known, 17, 32)
if when and when >= ARGV[2] and when <= string.format('%016.0f', now) then
  return {}
end
redis.call('SET', KEYS[2], ARGV[1] .. ARGV[2] .. ARGV[5], 'PXAT', string.format('%.0f', ends))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {}
