-- KEYS[1]: an identity. Returns it and the clock of the one server that has it.
local now = redis.call('TIME')
return { redis.call('GET', KEYS[1]), now[1], now[2] }
