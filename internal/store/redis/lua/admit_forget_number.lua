-- Forgets a call to a number that has not come to be, or is open no more.
-- KEYS: number. ARGV: call; '1' where only what is held for it is to go.
local base, id = KEYS[1], ARGV[1]
local held = redis.call('HGET', base .. ':pending', id)
if held then
	redis.call('HDEL', base .. ':pending', id)
	redis.call('ZREM', base .. ':made', string.sub(held, 1, 16) .. id)
end
if held or ARGV[2] ~= '1' then
	redis.call('HDEL', base .. ':open', id)
end
return 'forgotten'
