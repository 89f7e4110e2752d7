-- Returns the clock of the server that stores KEYS[1], in microseconds.
local time = redis.call('TIME')
return { string.format('%.0f', time[1] * 1000000 + time[2]) }
