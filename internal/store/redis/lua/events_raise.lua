-- Has every later event get a number greater than the one given.
-- KEYS: events. ARGV: number.
local last = redis.call('GET', KEYS[1] .. ':last')
if not last or tonumber(last) < tonumber(ARGV[1]) then
	redis.call('SET', KEYS[1] .. ':last', ARGV[1])
end
return 'raised'
