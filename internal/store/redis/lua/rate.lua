-- Takes units of the rates of a scope, of all or of none; or pauses the scope,
-- or says until when it is paused. A field of the scope is when all units of a
-- rate will have come back, the one without a name until when it is paused.
-- KEYS: scope. ARGV: 'take', a token of this attempt, and of each rate its
-- name, how long what is asked for takes to come back, and how long all units
-- take; or 'put', a name and when; or 'paused'. All in microseconds.
-- Returns whether it is allowed, how long to wait, and for which rate; or until
-- when the scope is paused.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function full(name)
	return math.max(now, tonumber(redis.call('HGET', KEYS[1], 'f:' .. name) or '0'))
end
local function set(name, to)
	local last = math.max(to, tonumber(redis.call('HGET', KEYS[1], 'last') or '0'))
	redis.call('HSET', KEYS[1], 'f:' .. name, string.format('%.0f', to), 'last', string.format('%.0f', last))
	redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.ceil(last / 1000) + 1))
end
if ARGV[1] == 'put' and tonumber(ARGV[3]) > full(ARGV[2]) then
	set(ARGV[2], tonumber(ARGV[3]))
end
local paused = full('')
if ARGV[1] ~= 'take' then
	return string.format('%.0f', paused > now and paused or 0)
end
if redis.call('HGET', KEYS[1], 'token') == ARGV[2] then
	return {1, '0', ''} -- its answer was lost
end
local wait, whose, after = paused - now, '', {}
for i = 3, #ARGV, 3 do
	local to = full(ARGV[i]) + tonumber(ARGV[i + 1])
	local w = to - tonumber(ARGV[i + 2]) - now
	if w > wait then
		wait, whose = w, ARGV[i]
	end
	after[ARGV[i]] = to
end
if wait > 0 then
	return {0, string.format('%.0f', wait), whose}
end
for name, to in pairs(after) do
	set(name, to)
end
redis.call('HSET', KEYS[1], 'token', ARGV[2])
return {1, '0', ''}
