-- Takes what changed of small records of one type.
-- KEYS: table. ARGV: node, or empty for an import; number of the last change;
-- then for each change: its number, id, record. One that is empty is gone.
local base, node = KEYS[1], ARGV[1]
local applied = tonumber(redis.call('HGET', base .. ':applied', node) or '0')
for i = 3, #ARGV, 3 do
	local seq, id, data = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	if node == '' or tonumber(seq) > applied then
		if data == '' then
			redis.call('HDEL', base .. ':records', id)
		else
			-- Who is replaced keeps his place.
			local had = redis.call('HGET', base .. ':records', id)
			local order
			if had then
				order = string.sub(had, 1, 16)
			else
				order = string.format('%016.0f', redis.call('INCR', base .. ':order'))
			end
			redis.call('HSET', base .. ':records', id, order .. data)
		end
	end
end
if node ~= '' and tonumber(ARGV[2]) > applied then
	redis.call('HSET', base .. ':applied', node, ARGV[2])
end
return 'shipped'
