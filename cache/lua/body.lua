-- KEYS[1] is a body. Returns it ('' if there is none), and this server's clock in
-- microseconds.
local time = redis.call('TIME')
return { redis.call('GET', KEYS[1]) or '', string.format('%.0f', time[1] * 1000000 + time[2]) }
