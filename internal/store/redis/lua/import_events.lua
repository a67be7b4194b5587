-- Takes events of another store under the numbers that they have there.
-- KEYS: events. ARGV: a number that no event had a greater one than, or 0; then
-- for each event, in order: number, call, type, time, data.
local base = KEYS[1]
local newest = 0
local had = redis.call('XREVRANGE', base .. ':log', '+', '-', 'COUNT', 1)
if had[1] then
	newest = tonumber(string.match(had[1][1], '^%d+'))
end
local last = math.max(newest, tonumber(ARGV[1]), tonumber(redis.call('GET', base .. ':last') or '0'))
for i = 2, #ARGV, 5 do
	local n, call = tonumber(ARGV[i]), ARGV[i + 1]
	if n > newest then -- else it was taken before
		local id = string.format('%.0f', n)
		redis.call('XADD', base .. ':log', id .. '-0', 'c', call, 't', ARGV[i + 2], 'a', ARGV[i + 3], 'd', ARGV[i + 4])
		redis.call('ZADD', base .. ':call:' .. call, id, id)
		newest = n
	end
end
redis.call('SET', base .. ':last', string.format('%.0f', math.max(last, newest)))
return 'taken'
