-- Forgets events of no call.
-- KEYS: events. ARGV: their numbers.
-- Returns how many there were.
local gone = 0
for _, id in ipairs(ARGV) do
	gone = gone + redis.call('XDEL', KEYS[1] .. ':log', id .. '-0')
	redis.call('ZREM', KEYS[1] .. ':call:', id)
end
return gone
