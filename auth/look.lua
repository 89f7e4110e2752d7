-- KEYS[1]: an identity. Returns it, its milliseconds to live, and the clock that these are measured by, of the one server that has it.
local now = redis.call('TIME')
return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), now[1], now[2] }
