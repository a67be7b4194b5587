-- Takes a key from a call that has not come to be, or is gone.
-- KEYS: key. ARGV: call; '1' where only a reservation is to go.
local had = redis.call('HMGET', KEYS[1], 'call', 'pending')
if had[1] == ARGV[1] and (ARGV[2] ~= '1' or had[2] ~= '0') then
	redis.call('DEL', KEYS[1])
end
return 'forgotten'
