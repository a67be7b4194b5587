-- Notes that there are jobs of a kind.
-- KEYS: kinds. ARGV: kind.
return redis.call('SADD', KEYS[1], ARGV[1])
