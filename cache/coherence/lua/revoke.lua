-- Revokes a token's grants by giving it another id. KEYS[1] is the token's id. ARGV: 1
-- the new id, 2 how long it is kept (ms). Returns {}.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {}
