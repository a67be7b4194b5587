-- Something happened to a number.
-- KEYS: blocks. ARGV: the number, what happened, when, as 15 digits of
-- milliseconds, why, how many failures in a row block, who, and of what is
-- shipped its node and number. With 'put' the record is to be what follows as
-- fields and values.
-- Returns whether it changed anything.
local key = KEYS[1] .. ':n:' .. ARGV[1]
if ARGV[7] ~= '' then
	local mark = redis.call('HGET', KEYS[1] .. ':applied', ARGV[7])
	if mark and tonumber(mark) >= tonumber(ARGV[8]) then
		return 0
	end
	redis.call('HSET', KEYS[1] .. ':applied', ARGV[7], ARGV[8])
end
if ARGV[2] == 'put' then
	local old = redis.call('HGET', key, 'blocked')
	if old then
		redis.call('ZREM', KEYS[1] .. ':blocked', old .. ARGV[1])
	end
	redis.call('DEL', key)
	redis.call('HSET', key, unpack(ARGV, 9))
	local blocked = redis.call('HGET', key, 'blocked')
	if blocked then
		redis.call('ZADD', KEYS[1] .. ':blocked', 0, blocked .. ARGV[1])
	end
	return 1
end
local had = redis.call('HMGET', key, 'blocked', 'failures', 'when', 'by', 'why')
if ARGV[2] == 'failed' then
	local failures = tonumber(had[2] or '0') + 1
	local limit = tonumber(ARGV[5])
	redis.call('HSET', key, 'failures', string.format('%d', failures), 'failed', ARGV[3], 'reason', ARGV[4])
	if limit > 0 and failures >= limit and not had[1] then
		redis.call('HSET', key, 'blocked', ARGV[3])
		redis.call('ZADD', KEYS[1] .. ':blocked', 0, ARGV[3] .. ARGV[1])
	end
	return 1
end
if ARGV[2] == 'reached' and had[1] then
	return 0
end
if ARGV[2] == 'unblocked' and not had[1] then
	return (had[3] == ARGV[3] and had[4] == ARGV[6] and had[5] == ARGV[4]) and 1 or 0 -- 1: its answer was lost
end
redis.call('HDEL', key, 'failures', 'failed', 'reason', 'blocked')
if ARGV[2] == 'unblocked' then
	redis.call('ZREM', KEYS[1] .. ':blocked', had[1] .. ARGV[1])
	redis.call('HSET', key, 'when', ARGV[3], 'by', ARGV[6], 'why', ARGV[4])
end
return 1
