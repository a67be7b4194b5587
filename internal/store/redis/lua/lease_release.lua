-- Gives a lease back, if it is still its holder's. The fence stays for a day.
-- KEYS: lease. ARGV: owner, fence; an empty fence: whichever the owner has.
local had = redis.call('HMGET', KEYS[1], 'owner', 'fence')
if had[1] == ARGV[1] and (ARGV[2] == '' or had[2] == ARGV[2]) then
	redis.call('HSET', KEYS[1], 'until', '0')
end
return 'released'
