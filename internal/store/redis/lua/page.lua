-- Finds calls, newest first, among at most so many members of one set.
-- KEYS: index. ARGV: set; where to begin; where to end; how many calls; how many
-- members; "1" or "0" for open or ended calls; kind; result; line; number. What
-- is empty does not matter.
-- Returns how far it came, empty at the end, and the members.
local base, most, budget = KEYS[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local wanted = {ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]}
local selective = false
for _, value in ipairs(wanted) do
	selective = selective or value ~= ''
end

-- fits says whether a call stands under everything that is wanted.
local function fits(id)
	local of = redis.call('HGET', base .. ':of', id)
	if not of then
		return false
	end
	local d = cjson.decode(of)
	for i, value in ipairs(wanted) do
		if value ~= '' and value ~= d[i + 1] then
			return false
		end
	end
	return true
end

if not selective then
	budget = math.min(budget, most)
end
local members = redis.call('ZREVRANGEBYLEX', base .. ':' .. ARGV[1], ARGV[2], ARGV[3], 'LIMIT', 0, budget)
local found = {''}
if #members == budget then
	found[1] = members[budget]
end
for _, member in ipairs(members) do
	if not selective or fits(string.sub(member, 17)) then
		table.insert(found, member)
		if #found > most then
			found[1] = member
			break
		end
	end
end
return found
