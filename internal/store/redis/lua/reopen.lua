-- Notes which process the events are kept by, and where it is another one than
-- before lets their numbers jump past all that readers may have seen and the
-- process may not have.
-- KEYS: events. ARGV: process, how far to jump.
-- Returns 1 where the numbers have jumped, or 0.
local known = redis.call('GET', KEYS[1] .. ':run')
if known == ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1] .. ':run', ARGV[1])
if not known then
	return 0
end
redis.call('INCRBY', KEYS[1] .. ':last', ARGV[2])
return 1
