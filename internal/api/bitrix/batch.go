package bitrix

import (
	"context"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxCommands is how many commands a batch may hold.
const maxCommands = 50

// batchResult is the result of a batch
// (https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html).
type batchResult struct {
	Result phpMap `json:"result"`
	Errors phpMap `json:"result_error"`
	Total  phpMap `json:"result_total"`
	Next   phpMap `json:"result_next"`
	Time   phpMap `json:"result_time"`

	told map[string]any // results as clients were told them, of those that were referred to
}

// MarshalJSON implements json.Marshaler, since a phpMap is one by its pointer
// only.
func (r *batchResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]*phpMap{
		"result": &r.Result, "result_error": &r.Errors, "result_total": &r.Total, "result_next": &r.Next, "result_time": &r.Time,
	})
}

// batch runs commands one after the other, in the order in which they are
// written. It succeeds also where all of them fail.
func (a *API) batch(ctx context.Context, q *query) (*reply, *Error) {
	commands, ok := q.params.get("CMD").(*dict)
	if !ok {
		return nil, errMissing("cmd")
	}
	halt := truthy(q.text("HALT"))
	out := new(batchResult)
	for i, key := range commands.keys {
		took := begin(time.Now(), a.Zone())
		done, bad := a.command(ctx, q, i, key, scalar(commands.values[key]), out)
		if bad != nil {
			out.Errors.set(key, bad)
			if halt {
				break
			}
			continue
		}
		out.Result.set(key, done.result)
		if done.paged {
			out.Total.set(key, done.total)
		}
		if done.next > 0 {
			out.Next.set(key, done.next)
		}
		out.Time.set(key, took.stop(time.Now()))
	}
	return &reply{result: out}, nil
}

// command runs the command of a batch that stands at a place in it.
func (a *API) command(ctx context.Context, q *query, place int, key, text string, done *batchResult) (*reply, *Error) {
	if place >= maxCommands {
		return nil, errBatchTooLong
	}
	name, form, _ := strings.Cut(text, "?")
	params, err := parseForm(form)
	if err != nil {
		return nil, errUnreadable(err)
	}
	params = resolve(params, done).upper()
	one := &query{method: methodName(strings.Trim(name, "/")), params: params, client: q.client, webhook: q.webhook, inBatch: true}
	if q.key != "" {
		one.key = q.key + "#" + key // one key for all would make them repetitions of each other
	}
	return a.call(ctx, one)
}

func truthy(s string) bool {
	return s != "" && s != "0" && !strings.EqualFold(s, "N") && !strings.EqualFold(s, "false")
}

// reference is how a command refers to the result of an earlier one:
// $result[key][FIELD][0].
var reference = regexp.MustCompile(`\$result((?:\[[^\[\]]+\])+)`)

// resolve puts results of earlier commands in the place of references to them.
// One that leads nowhere becomes empty, and the method says what it misses.
func resolve(params *dict, done *batchResult) *dict {
	out := new(dict)
	for _, key := range params.keys {
		switch v := params.values[key].(type) {
		case *dict:
			out.set(key, resolve(v, done))
		case string:
			out.set(key, refer(v, done))
		default:
			out.set(key, v)
		}
	}
	return out
}

// refer replaces the references in a value. A value that is a reference as a
// whole becomes what it refers to, also a list.
func refer(s string, done *batchResult) any {
	if whole := reference.FindString(s); whole == s && s != "" {
		return lookUp(s, done)
	}
	return reference.ReplaceAllStringFunc(s, func(ref string) string { return scalar(lookUp(ref, done)) })
}

func lookUp(ref string, done *batchResult) any {
	steps := strings.Split(strings.TrimSuffix(strings.TrimPrefix(ref, "$result["), "]"), "][")
	value := done.tell(steps[0])
	for _, step := range steps[1:] {
		inner, ok := value.(*dict)
		if !ok {
			return ""
		}
		value = inner.get(step)
	}
	return value
}

// tell returns the result of a command as clients were told it, not what it is
// made of here. It is read once, however often it is referred to.
func (r *batchResult) tell(key string) any {
	value, ok := r.told[key]
	if ok {
		return value
	}
	value = ""
	if result, ok := r.Result.values[key]; ok {
		if raw, err := json.Marshal(result); err == nil {
			value = parseAny(raw)
		}
	}
	if r.told == nil {
		r.told = make(map[string]any)
	}
	r.told[key] = value
	return value
}

// parseAny reads what may be written in JSON; what cannot be read is empty.
func parseAny(raw []byte) any {
	wrapped, err := parseJSON([]byte(`{"v":` + string(raw) + `}`))
	if err != nil {
		return ""
	}
	return wrapped.get("v")
}

// itoa is short for what Bitrix24 writes as strings.
func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }
