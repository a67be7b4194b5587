package store

import (
	"encoding/json"
	"strconv"
	"time"
)

// AppendJSON appends the record as encoding/json writes it, in a fraction of
// the time: records are encoded with each change of a call. Durability, which is
// no part of the record, is left out. The error is about a time that JSON cannot
// hold, of the year 10000 or later.
func (c *Call) AppendJSON(b []byte) ([]byte, error) {
	o := object{b: b}
	o.call(c)
	return o.b, o.err
}

// AppendJSON appends the leg as encoding/json writes it; the error is that of
// Call.AppendJSON.
func (l *Leg) AppendJSON(b []byte) ([]byte, error) {
	o := object{b: b}
	o.leg(l)
	return o.b, o.err
}

func (o *object) call(c *Call) {
	o.begin()
	o.text("id", c.ID)
	o.text("kind", string(c.Kind))
	o.text("state", string(c.State))
	o.filled("result", string(c.Result))
	o.filled("code", c.Code)
	o.filled("reason", c.Reason)
	o.filled("reason_owner", string(c.ReasonOwner))
	o.filled("hangup_by", string(c.HangupBy))
	o.text("line", c.Line)
	o.text("number", c.Number)
	o.endpoint("manager", c.Manager)
	o.endpoint("customer", c.Customer)
	o.time("created_at", &c.CreatedAt)
	o.time("answered_at", c.AnsweredAt)
	o.time("ended_at", c.EndedAt)
	o.int("talk_ms", c.TalkMS)
	o.int("ring_ms", c.RingMS)
	o.request("request", &c.Request)
	list(o, "attempts", c.Attempts, o.attempt)
	list(o, "legs", c.Legs, o.leg)
	o.recording("recording", c.Recording)
	o.info("info", c.Info)
	o.time("next_at", c.NextAt)
	o.time("deadline", &c.Deadline)
	o.bool("customer_reached", c.CustomerReached)
	o.counted("interrupted", c.Interrupted)
	o.end()
}

func (o *object) endpoint(name string, e *Endpoint) {
	if e == nil {
		return
	}
	o.key(name)
	o.begin()
	o.filled("number", e.Number)
	o.filled("extension", e.Extension)
	o.filled("name", e.Name)
	o.end()
}

func (o *object) request(name string, r *Request) {
	o.key(name)
	o.begin()
	o.filled("text", r.Text)
	o.filled("voice", r.Voice)
	o.filled("manager", r.Manager)
	o.filled("key", r.Key)
	o.filled("mode", r.Mode)
	o.time("not_before", r.NotBefore)
	o.filled("sound", r.Sound)
	o.counted("repeat", r.Repeat)
	o.counted("gather", r.Gather)
	o.filled("answering_machine", r.AnsweringMachine)
	o.end()
}

func (o *object) attempt(a *Attempt) {
	o.begin()
	o.int("n", int64(a.N))
	o.whenTrue("asked", a.Asked)
	o.whenTrue("waited", a.Waited)
	o.time("started_at", &a.StartedAt)
	o.time("ended_at", a.EndedAt)
	o.filled("result", string(a.Result))
	o.filled("code", a.Code)
	o.filled("reason", a.Reason)
	o.filled("reason_owner", string(a.ReasonOwner))
	o.end()
}

func (o *object) leg(l *Leg) {
	o.begin()
	o.text("id", l.ID)
	o.int("attempt", int64(l.Attempt))
	o.text("role", string(l.Role))
	o.filled("number", l.Number)
	o.filled("trunk", l.Trunk)
	o.filled("extension", l.Extension)
	o.text("state", string(l.State))
	o.counted("sip_code", l.SIPCode)
	o.counted("q850", l.Q850)
	o.filled("reason", l.Reason)
	o.time("started_at", &l.StartedAt)
	o.time("ring_at", l.RingAt)
	o.time("answered_at", l.AnsweredAt)
	o.time("ended_at", l.EndedAt)
	o.quality("quality", l.Quality)
	o.whenTrue("no_audio", l.NoAudio)
	o.end()
}

func (o *object) quality(name string, q *Quality) {
	if q == nil {
		return
	}
	o.key(name)
	o.begin()
	o.text("codec", q.Codec)
	o.key("packets_in")
	o.b = strconv.AppendUint(o.b, q.PacketsIn, 10)
	o.key("packets_out")
	o.b = strconv.AppendUint(o.b, q.PacketsOut, 10)
	if q.Lost == nil {
		o.null("lost")
	} else {
		o.int("lost", *q.Lost)
	}
	o.number("jitter_ms", q.JitterMS)
	o.number("round_trip_ms", q.RoundTripMS)
	o.filled("srtp", q.SRTP)
	o.end()
}

func (o *object) recording(name string, r *Recording) {
	if r == nil {
		return
	}
	o.key(name)
	o.begin()
	o.text("file", r.File)
	o.int("duration_ms", r.DurationMS)
	o.int("bytes", r.Bytes)
	o.time("removed_at", r.RemovedAt)
	o.end()
}

func (o *object) info(name string, i *Info) {
	if i == nil {
		return
	}
	o.key(name)
	o.begin()
	o.filled("ok", i.OK)
	o.filled("text", i.Text)
	o.filled("code", i.Code)
	o.int("heard_ms", i.HeardMS)
	o.filled("digits", i.Digits)
	o.filled("answered_by", i.AnsweredBy)
	o.end()
}

// object is JSON that is being written, inside of an object.
type object struct {
	b   []byte
	err error // the first one
}

func (o *object) begin() { o.b = append(o.b, '{') }
func (o *object) end()   { o.b = append(o.b, '}') }

func (o *object) key(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	o.key(name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			o.marshal(value)
			return
		}
	}
	o.b = append(append(append(o.b, '"'), value...), '"')
}

// marshal writes what needs no haste.
func (o *object) marshal(value any) {
	data, err := json.Marshal(value)
	o.fail(err)
	o.b = append(o.b, data...)
}

func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// filled writes a text, unless it is empty.
func (o *object) filled(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) int(name string, value int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

// counted writes a number, unless it is zero.
func (o *object) counted(name string, value int) {
	if value != 0 {
		o.int(name, int64(value))
	}
}

func (o *object) bool(name string, value bool) {
	o.key(name)
	o.b = strconv.AppendBool(o.b, value)
}

func (o *object) whenTrue(name string, value bool) {
	if value {
		o.bool(name, true)
	}
}

// time writes a time, if there is one.
func (o *object) time(name string, t *time.Time) {
	if t == nil {
		return
	}
	o.key(name)
	b, err := t.AppendText(append(o.b, '"'))
	if err != nil {
		o.fail(err)
		return
	}
	o.b = append(b, '"')
}

// number writes a number, or null.
func (o *object) number(name string, f *float64) {
	o.key(name)
	o.marshal(f)
}

func (o *object) null(name string) {
	o.key(name)
	o.b = append(o.b, "null"...)
}

func list[T any](o *object, name string, values []T, write func(*T)) {
	if values == nil {
		o.null(name)
		return
	}
	o.key(name)
	o.b = append(o.b, '[')
	for i := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		write(&values[i])
	}
	o.b = append(o.b, ']')
}
