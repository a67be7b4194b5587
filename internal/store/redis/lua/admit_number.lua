-- Admits a call to a number, or says which one is open there.
-- KEYS: number. ARGV: call, time of its creation, its line, '1' where it is a
-- callback, '1' where it counts, how many calls may be there, since when, how
-- long the place is held in milliseconds, seconds until all are forgotten.
-- Returns 'admitted', 'many', or the open call with '?' before it where it may
-- never have come to be, '=' where it has.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local base, id, line, limit = KEYS[1], ARGV[1], ARGV[3], tonumber(ARGV[6])
local pending = base .. ':pending'

-- Calls that were admitted and never came to be.
local held = redis.call('HGETALL', pending)
for i = 1, #held, 2 do
	local created, till = string.sub(held[i + 1], 1, 16), string.sub(held[i + 1], 17)
	if tonumber(till) <= now then
		redis.call('HDEL', pending, held[i])
		redis.call('HDEL', base .. ':open', held[i])
		redis.call('ZREM', base .. ':made', created .. held[i])
	end
end

if ARGV[4] == '1' then
	local open, first = redis.call('HGETALL', base .. ':open'), false
	for i = 1, #open, 2 do
		local at = string.sub(open[i + 1], 1, 16) .. open[i]
		if open[i] ~= id and string.sub(open[i + 1], 17) == line and (not first or at < first) then
			first = at
		end
	end
	if first then
		first = string.sub(first, 17)
		if redis.call('HEXISTS', pending, first) == 1 then
			return '?' .. first
		end
		return '=' .. first
	end
end

local member = ARGV[2] .. id
local mine = redis.call('ZSCORE', base .. ':made', member)
if limit > 0 then
	local made = redis.call('ZLEXCOUNT', base .. ':made', '[' .. ARGV[7], '+')
	if mine and ARGV[2] >= ARGV[7] then
		made = made - 1
	end
	if made >= limit then
		return 'many'
	end
end
if ARGV[5] ~= '1' or mine then
	return 'admitted' -- it does not count, or this is a repetition
end
redis.call('HSET', pending, id, ARGV[2] .. string.format('%.0f', now + ARGV[8] * 1000))
redis.call('ZADD', base .. ':made', 0, member)
redis.call('EXPIRE', base .. ':made', ARGV[9])
if ARGV[4] == '1' then
	redis.call('HSET', base .. ':open', id, ARGV[2] .. line)
end
return 'admitted'
