-- Takes what changed of a call: its record and parts of its trace.
-- KEYS: call. ARGV: node, or empty for an import; how many parts are kept; then
-- for each change: 'r' or 't', its number, the time of a part, record or part.
-- A record that is empty is gone.
local node, most = ARGV[1], tonumber(ARGV[2])
local record, traces = KEYS[1] .. ':record', KEYS[1] .. ':traces'

-- fresh says whether a change is newer than what the node sent before.
local function fresh(kind, seq)
	if node == '' then
		return true
	end
	local mark = kind .. ':' .. node
	local had = redis.call('HGET', record, mark)
	if had and tonumber(had) >= tonumber(seq) then
		return false
	end
	redis.call('HSET', record, mark, seq)
	return true
end

-- known says whether a part is there already: one that comes again under
-- another number.
local function known(part)
	for _, had in ipairs(redis.call('LRANGE', traces, 0, -1)) do
		if had == part then
			return true
		end
	end
	return false
end

for i = 3, #ARGV, 4 do
	local kind, seq, at, data = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
	if fresh(kind, seq) then
		if kind == 't' then
			if redis.call('LLEN', traces) < most and not known(at .. data) then
				redis.call('RPUSH', traces, at .. data)
			end
		elseif data ~= '' then
			redis.call('HSET', record, 'd', data)
			redis.call('PERSIST', record)
		else
			-- The marks stay for as long as the change may come again.
			redis.call('HDEL', record, 'd')
			redis.call('DEL', traces)
			redis.call('EXPIRE', record, 86400)
		end
	end
end
return 'shipped'
