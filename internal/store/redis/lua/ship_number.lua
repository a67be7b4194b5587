-- Takes what changed of the calls to a number.
-- KEYS: number. ARGV: node, or empty for an import; number of the last change;
-- time before which calls are forgotten; seconds until all are; then for each
-- change: its number, 'open', 'closed' or 'made', id, time of creation, line.
local base, node = KEYS[1], ARGV[1]
local applied = tonumber(redis.call('HGET', base .. ':applied', node) or '0')
for i = 5, #ARGV, 5 do
	local seq, what, id, created, line = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
	if node == '' or tonumber(seq) > applied then
		redis.call('HDEL', base .. ':pending', id)
		redis.call('ZADD', base .. ':made', 0, created .. id)
		if what == 'open' then
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
return 'shipped'
