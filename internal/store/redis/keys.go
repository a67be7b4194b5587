package redis

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/store"
)

// Keys of one hash tag lie in one slot, so that a script can change them in one
// step also in a cluster. Scripts are given the name that the keys of a slot
// begin with; what follows is theirs:
//
//	{c:<call>}       :record hash, d is the record as JSON, r:<node> and t:<node>
//	                 the last change of each node; :traces list of parts
//	{n:<number>}     admission of calls to a number: :open hash of callbacks that
//	                 are open or about to be, :made set of calls that were asked
//	                 for, :applied
//	{k:<scope>:<v>}  idempotency key, a hash
//	{l:<lease>}      lease, a hash; {o:<owner>} set of the names an owner has had
//	{ev}             :log stream, :last its counter, :call:<id> set of a call's
//	                 events, :run the process that was last reopened, :applied
//	{ix}             sets to search calls by, :of what each call stands under,
//	                 :traces calls with traces by age, :applied
//	{m:<counter>}    :<end> hash of a window, with its total and the last change of
//	                 each node; :<end>:steps set of the last hour's
//	{r:<scope>}      rates, a hash, see rate.lua
//	{b}              :n:<number> hash of a number, :blocked set of those that are,
//	                 :applied
//	{j:<kind>}       jobs, see jobs.lua; {j}:kinds set of the kinds there are
//	{t:<type>}       :records hash of small records, :order, :applied
//
// :applied tells the last change of each node that the slot has.
const prefix = "perezvon:"

const (
	eventsSlot = prefix + "{ev}"
	indexSlot  = prefix + "{ix}"
	blocksSlot = prefix + "{b}"
	jobKinds   = prefix + "{j}:kinds"
)

func callSlot(id string) string       { return prefix + "{c:" + id + "}" }
func numberSlot(number string) string { return prefix + "{n:" + number + "}" }
func leaseSlot(name string) string    { return prefix + "{l:" + name + "}" }
func ownerSlot(owner string) string   { return prefix + "{o:" + owner + "}" }
func tableSlot(t store.ChangeType) string {
	return prefix + "{t:" + string(t) + "}"
}

func counterSlot(name string) string { return prefix + "{m:" + name + "}" }
func rateSlot(scope string) string   { return prefix + "{r:" + scope + "}" }
func jobSlot(kind string) string     { return prefix + "{j:" + kind + "}" }

// keySlot escapes the scope, so that its end is certain.
func keySlot(scope, value string) string {
	return prefix + "{k:" + url.QueryEscape(scope) + ":" + value + "}"
}

// parseKeySlot takes apart what keySlot has made.
func parseKeySlot(slot string) (scope, value string, err error) {
	rest, ok := strings.CutPrefix(slot, prefix+"{k:")
	escaped, value, ok2 := strings.Cut(rest, ":")
	value, ok3 := strings.CutSuffix(value, "}")
	scope, err = url.QueryUnescape(escaped)
	if !ok || !ok2 || !ok3 || err != nil {
		return "", "", fmt.Errorf("%q is no key of an idempotency key", slot)
	}
	return scope, value, nil
}

// timeLen is the length of a time as timeText writes it.
const timeLen = 16

// timeText writes a time so that texts sort as times do, also before 1970.
func timeText(t time.Time) string { return nanosText(store.Nanos(t)) }

func nanosText(n int64) string { return fmt.Sprintf("%0*x", timeLen, uint64(n)^(1<<63)) }

// parseTime reads what timeText has written.
func parseTime(s string) (time.Time, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != timeLen {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return store.FromNanos(int64(n ^ (1 << 63))), nil
}

// micros is a time as scripts reckon with it: they know whole numbers up to
// 2^53 only.
func micros(t time.Time) int64 {
	const last = 1 << 53
	return min(max(store.Nanos(t)/int64(time.Microsecond), -last), last)
}

// fromMicros is the time of which micros gives n.
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// place is the member of an index that a call has.
func place(c *store.Call) string { return timeText(c.CreatedAt) + c.ID }

// parsePlace takes a member of an index apart.
func parsePlace(member string) (created, id string) {
	n := min(timeLen, len(member))
	return member[:n], member[n:]
}
