-- Takes members out of a set of the index.
-- KEYS: index. ARGV: set, members.
for i = 2, #ARGV do
	redis.call('ZREM', KEYS[1] .. ':' .. ARGV[1], ARGV[i])
end
return 'forgotten'
