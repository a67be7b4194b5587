-- Takes events, in order, and forgets those of calls that are gone.
-- KEYS: events. ARGV: node; number of the last change; then for each event: the
-- number of its change, call, type, time, data. An event of the type '' stands
-- for all events of the call, which go.
local base, node = KEYS[1], ARGV[1]
local applied = tonumber(redis.call('HGET', base .. ':applied', node) or '0')
for i = 3, #ARGV, 5 do
	local seq, call, kind, at, data = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
	local ids = base .. ':call:' .. call
	if tonumber(seq) <= applied then
		-- it is known
	elseif kind == '' then
		for _, id in ipairs(redis.call('ZRANGE', ids, 0, -1)) do
			redis.call('XDEL', base .. ':log', id .. '-0')
		end
		redis.call('DEL', ids)
	else
		local id = string.format('%.0f', redis.call('INCR', base .. ':last'))
		redis.call('XADD', base .. ':log', id .. '-0', 'c', call, 't', kind, 'a', at, 'd', data)
		redis.call('ZADD', ids, id, id)
	end
end
if tonumber(ARGV[2]) > applied then
	redis.call('HSET', base .. ':applied', node, ARGV[2])
end
return 'shipped'
