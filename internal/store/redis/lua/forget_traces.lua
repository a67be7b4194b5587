-- Forgets the parts of a call's trace from before a time.
-- KEYS: call. ARGV: the time.
-- Returns how many there were.
local traces, gone = KEYS[1] .. ':traces', 0
for _, part in ipairs(redis.call('LRANGE', traces, 0, -1)) do
	if string.sub(part, 1, 16) < ARGV[1] then
		gone = gone + redis.call('LREM', traces, 1, part)
	end
end
return gone
