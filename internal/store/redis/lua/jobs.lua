-- What happens to the jobs of a kind.
-- KEYS: kind. ARGV: what to do, then what it takes; see the functions below.
-- :job:<id>      hash of a job
-- :order         the jobs that are in lanes: lane, zero byte, place, id
-- :lanes         the lanes that have jobs, scored with when the first one can
--                be claimed
-- :s:<state>     the jobs in a state: place, id
-- :ended:<state> those in no lane any more, scored with since when
-- :claim:<token> what an attempt has claimed, for a minute
-- Times are milliseconds since 1970. A place has 16 digits.
local slot = KEYS[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n) return string.format('%.0f', n) end

-- lane notes when the first job of a lane can be claimed, and returns its id.
local function lane(name)
	local first = redis.call('ZRANGEBYLEX', slot .. ':order', '[' .. name .. '\0', '(' .. name .. '\1', 'LIMIT', 0, 1)[1]
	if not first then
		redis.call('ZREM', slot .. ':lanes', name)
		return nil
	end
	local id = string.sub(first, #name + 18)
	local had = redis.call('HMGET', slot .. ':job:' .. id, 'state', 'due', 'at', 'until')
	local from = math.max(tonumber(had[2]), math.min(tonumber(had[3]), now))
	if had[1] == 'claimed' then
		from = tonumber(had[4])
	end
	redis.call('ZADD', slot .. ':lanes', text(from), name)
	return id
end

-- move puts a job into another state, and in no lane any more where that is
-- an end.
local function move(id, from, to)
	local had = redis.call('HMGET', slot .. ':job:' .. id, 'lane', 'place')
	redis.call('ZREM', slot .. ':s:' .. from, had[2] .. id)
	redis.call('ZADD', slot .. ':s:' .. to, 0, had[2] .. id)
	redis.call('HSET', slot .. ':job:' .. id, 'state', to)
	if to == 'done' or to == 'dead' then
		redis.call('ZREM', slot .. ':order', had[1] .. '\0' .. had[2] .. id)
		redis.call('ZADD', slot .. ':ended:' .. to, text(now), id)
		redis.call('HSET', slot .. ':job:' .. id, 'until', text(now))
	end
	return had[1]
end

-- join gives a job in a state its place at the end of a lane, or behind all
-- others that have ended.
local function join(id, name, state)
	local job = slot .. ':job:' .. id
	local place = string.format('%016d', redis.call('INCR', slot .. ':last'))
	redis.call('HSET', job, 'place', place, 'state', state)
	redis.call('ZADD', slot .. ':s:' .. state, 0, place .. id)
	if state == 'done' or state == 'dead' then
		redis.call('ZADD', slot .. ':ended:' .. state, redis.call('HGET', job, 'until'), id)
		return
	end
	redis.call('ZADD', slot .. ':order', 0, name .. '\0' .. place .. id)
	lane(name)
end

-- node and number in its outbox, or nothing for a copy; id, lane, state and
-- further fields and values. Returns whether it was new.
local function add(node, number, id, name, state, ...)
	if node ~= '' then
		local mark = redis.call('HGET', slot .. ':applied', node)
		if mark and tonumber(mark) >= tonumber(number) then
			return 0
		end
		redis.call('HSET', slot .. ':applied', node, number)
	end
	local job = slot .. ':job:' .. id
	if redis.call('EXISTS', job) == 1 then
		return 0
	end
	redis.call('HSET', job, 'lane', name, ...)
	join(id, name, state)
	local fence = redis.call('HGET', job, 'fence')
	if fence and tonumber(fence) > tonumber(redis.call('GET', slot .. ':fence') or '0') then
		redis.call('SET', slot .. ':fence', fence)
	end
	return 1
end

-- owner, how long, how many at most, token. Returns the jobs, each as id and
-- hash.
local function claim(owner, ttl, limit, token)
	local claimed = slot .. ':claim:' .. token
	local ids = redis.call('LRANGE', claimed, 0, -1)
	if #ids == 0 then -- otherwise the answer was lost
		local fence = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', slot .. ':fence') or '0') + 1)
		for _, name in ipairs(redis.call('ZRANGEBYSCORE', slot .. ':lanes', '-inf', text(now), 'LIMIT', 0, limit)) do
			local id = lane(name)
			if id then
				local job = slot .. ':job:' .. id
				if redis.call('HGET', job, 'state') == 'waiting' then
					move(id, 'waiting', 'claimed')
				end
				redis.call('HSET', job, 'owner', owner, 'fence', text(fence), 'until', text(now + ttl))
				redis.call('HINCRBY', job, 'tries', 1)
				redis.call('SET', slot .. ':fence', text(fence))
				redis.call('RPUSH', claimed, id)
				fence = fence + 1
				lane(name)
				ids[#ids + 1] = id
			end
		end
		redis.call('PEXPIRE', claimed, 60000)
	end
	local jobs = {}
	for i, id in ipairs(ids) do
		jobs[i] = {id, redis.call('HGETALL', slot .. ':job:' .. id)}
	end
	return jobs
end

-- id, fence, state, cause, when it is due again. Returns whether the claim was
-- still good.
local function finish(id, fence, to, cause, due)
	local job = slot .. ':job:' .. id
	local had = redis.call('HMGET', job, 'fence', 'state')
	if had[1] ~= fence then
		return 0
	end
	if had[2] ~= 'claimed' then
		return had[2] == to and 1 or 0
	end
	local name = move(id, 'claimed', to)
	redis.call('HSET', job, 'cause', cause)
	if to == 'waiting' then
		redis.call('HSET', job, 'due', due)
		redis.call('HDEL', job, 'owner', 'until')
	elseif to == 'done' then
		redis.call('HDEL', job, 'data')
	end
	lane(name)
	return 1
end

-- Returns whether the job was dead.
local function revive(id)
	local job = slot .. ':job:' .. id
	local had = redis.call('HMGET', job, 'state', 'place', 'lane')
	if had[1] ~= 'dead' then
		return 0
	end
	redis.call('ZREM', slot .. ':s:dead', had[2] .. id)
	redis.call('ZREM', slot .. ':ended:dead', id)
	redis.call('HSET', job, 'due', '0', 'at', text(now), 'tries', '0')
	redis.call('HDEL', job, 'owner', 'until')
	join(id, had[3], 'waiting')
	return 1
end

-- how many at most, none that died after a time (0: now). Returns how many,
-- and the time.
local function reviveAll(limit, before)
	if tonumber(before) == 0 then
		before = text(now)
	end
	local n = 0
	for _, member in ipairs(redis.call('ZRANGEBYLEX', slot .. ':s:dead', '-', '+', 'LIMIT', 0, limit)) do
		local id = string.sub(member, 17)
		if tonumber(redis.call('HGET', slot .. ':job:' .. id, 'until')) <= tonumber(before) then
			n = n + revive(id)
		end
	end
	return {n, before}
end

-- state, how old, how many at most. Returns how many were forgotten.
local function prune(state, age, limit)
	local old = redis.call('ZRANGEBYSCORE', slot .. ':ended:' .. state, '-inf', text(now - age), 'LIMIT', 0, limit)
	for _, id in ipairs(old) do
		redis.call('ZREM', slot .. ':s:' .. state, redis.call('HGET', slot .. ':job:' .. id, 'place') .. id)
		redis.call('ZREM', slot .. ':ended:' .. state, id)
		redis.call('DEL', slot .. ':job:' .. id)
	end
	return #old
end

local what = {add = add, claim = claim, finish = finish, revive = revive, reviveAll = reviveAll, prune = prune}
return what[ARGV[1]](unpack(ARGV, 2))
