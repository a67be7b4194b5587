-- Takes under what calls are to be found.
-- KEYS: index. ARGV: node, or empty for an import; number of the last change;
-- then for each change: its number, id, and JSON [time of creation, "1" where it
-- is open, kind, result, line, number], empty where the call is gone; or its
-- number, the place of a trace, 'trace'.
local base, node = KEYS[1], ARGV[1]
local applied = tonumber(redis.call('HGET', base .. ':applied', node) or '0')

-- sets are those in which a call stands.
local function sets(d)
	local all = {'all', 'kind:' .. d[3]}
	if d[2] == '1' then
		table.insert(all, 'open')
	end
	if d[4] ~= '' then
		table.insert(all, 'result:' .. d[4])
	end
	if d[5] ~= '' then
		table.insert(all, 'line:' .. d[5])
	end
	if d[6] ~= '' then
		table.insert(all, 'number:' .. d[6])
	end
	return all
end

for i = 3, #ARGV, 3 do
	local seq, id, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	if node ~= '' and tonumber(seq) <= applied then
		-- it is known
	elseif new == 'trace' then
		redis.call('ZADD', base .. ':traces', 0, id)
	else
		local old = redis.call('HGET', base .. ':of', id)
		if (old or '') ~= new then
			if old then
				local d = cjson.decode(old)
				for _, set in ipairs(sets(d)) do
					redis.call('ZREM', base .. ':' .. set, d[1] .. id)
				end
			end
			if new == '' then
				redis.call('HDEL', base .. ':of', id)
			else
				local d = cjson.decode(new)
				for _, set in ipairs(sets(d)) do
					redis.call('ZADD', base .. ':' .. set, 0, d[1] .. id)
				end
				redis.call('HSET', base .. ':of', id, new)
			end
		end
	end
end
if node ~= '' and tonumber(ARGV[2]) > applied then
	redis.call('HSET', base .. ':applied', node, ARGV[2])
end
return 'shipped'
