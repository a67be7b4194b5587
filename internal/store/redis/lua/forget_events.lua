-- Forgets all events of calls.
-- KEYS: events. ARGV: calls.
for _, call in ipairs(ARGV) do
	local ids = KEYS[1] .. ':call:' .. call
	for _, id in ipairs(redis.call('ZRANGE', ids, 0, -1)) do
		redis.call('XDEL', KEYS[1] .. ':log', id .. '-0')
	end
	redis.call('DEL', ids)
end
return 'forgotten'
