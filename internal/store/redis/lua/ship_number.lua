-- Takes what changed of the calls to a number.
-- KEYS: number. ARGV: node, or empty for an import; number of the last change;
-- time before which calls are forgotten; seconds until all are; then for each
-- change: its number, 'open', 'closed' or 'made', id, time of creation, line.
-- Returns pairs of open calls of one line, each as its time of creation and id,
-- the first of which has just become known.
local base, node = KEYS[1], ARGV[1]
local applied = tonumber(redis.call('HGET', base .. ':applied', node) or '0')
local clashes = {}
for i = 5, #ARGV, 5 do
	local seq, what, id, created, line = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
	if node == '' or tonumber(seq) > applied then
		local new = redis.call('HDEL', base .. ':pending', id) == 1 or redis.call('HEXISTS', base .. ':open', id) == 0
		redis.call('ZADD', base .. ':made', 0, created .. id)
		if what == 'open' then
			local open = new and redis.call('HGETALL', base .. ':open') or {}
			for j = 1, #open, 2 do
				if open[j] ~= id and string.sub(open[j + 1], 17) == line and redis.call('HEXISTS', base .. ':pending', open[j]) == 0 then
					table.insert(clashes, created .. id)
					table.insert(clashes, string.sub(open[j + 1], 1, 16) .. open[j])
				end
			end
			redis.call('HSET', base .. ':open', id, created .. line)
		else
			redis.call('HDEL', base .. ':open', id)
		end
	end
end
if node ~= '' and tonumber(ARGV[2]) > applied then
	redis.call('HSET', base .. ':applied', node, ARGV[2])
	redis.call('EXPIRE', base .. ':applied', ARGV[4])
end
redis.call('ZREMRANGEBYLEX', base .. ':made', '-', '(' .. ARGV[3])
redis.call('EXPIRE', base .. ':made', ARGV[4])
return clashes
