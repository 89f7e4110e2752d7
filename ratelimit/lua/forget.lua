-- Deletes KEYS[1] if it lives for more than ARGV[1] milliseconds from now.
local life = redis.call('PTTL', KEYS[1])
if life > tonumber(ARGV[1]) then
  return redis.call('DEL', KEYS[1])
end
return 0
