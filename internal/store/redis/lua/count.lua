-- Adds to the sum of a window, unless that would exceed its maximum.
-- KEYS: counter. ARGV: the window's end in milliseconds, what to add, the
-- maximum, an id of this step, and of one that is shipped its node and number.
-- One that is shipped was allowed already. With 'sum' for the maximum it is what
-- the sum has to be.
-- Returns whether it is counted, and the sum.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, steps = KEYS[1] .. ':' .. ARGV[1], KEYS[1] .. ':' .. ARGV[1] .. ':steps'
local n, total = tonumber(ARGV[2]), 0
local open = tonumber(ARGV[1]) > now
if open then
	total = tonumber(redis.call('HGET', window, 'total') or '0')
end
if ARGV[3] == 'sum' then
	n = n - total
end
local function answer(counted)
	return {counted, string.format('%.0f', total)}
end
if ARGV[5] ~= '' then
	local mark = redis.call('HGET', window, 'a:' .. ARGV[5])
	if not open or (mark and tonumber(mark) >= tonumber(ARGV[6])) then
		return answer(1)
	end
end
if ARGV[4] ~= '' and redis.call('ZSCORE', steps, ARGV[4]) then
	return answer(1) -- its answer was lost
end
if ARGV[5] == '' and ARGV[3] ~= 'sum' and n > 0 and total + n > tonumber(ARGV[3]) then
	return answer(0)
end
if not open then
	return answer(1)
end
total = total + n
redis.call('HSET', window, 'total', string.format('%.0f', total))
redis.call('PEXPIREAT', window, ARGV[1])
if ARGV[5] ~= '' then
	redis.call('HSET', window, 'a:' .. ARGV[5], ARGV[6])
end
if ARGV[4] ~= '' then
	redis.call('ZADD', steps, string.format('%.0f', now), ARGV[4])
	redis.call('ZREMRANGEBYSCORE', steps, '-inf', string.format('%.0f', now - 3600000))
	redis.call('PEXPIREAT', steps, ARGV[1])
end
return answer(1)
