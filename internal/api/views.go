package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// Call is a call as clients see it. What is not known yet is null; what may
// never be there is left out.
type Call struct {
	ID          string           `json:"id" doc:"32 hex digits" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
	Kind        string           `json:"kind" doc:"callback, inbound, outbound, internal or infocall" example:"callback"`
	State       string           `json:"state" doc:"Where the call is; ended is the last" example:"ringing_customer"`
	Result      *string          `json:"result" doc:"How it ended" example:"completed"`
	Code        *string          `json:"code" doc:"The result as a Bitrix24 status code" example:"200"`
	Reason      *string          `json:"reason" doc:"The result in words" example:"the two have talked"`
	ReasonOwner *string          `json:"reason_owner" doc:"Whose reason it was: us, trunk, manager or customer" example:"customer"`
	HangupBy    *string          `json:"hangup_by" doc:"Who hung up: us, trunk, manager or customer" example:"customer"`
	Line        string           `json:"line" example:"main"`
	Number      string           `json:"number" doc:"The customer's" example:"+74950000001"`
	Manager     *Endpoint        `json:"manager,omitempty" doc:"Who answered for us"`
	Customer    *Endpoint        `json:"customer,omitempty"`
	Text        string           `json:"text,omitempty" doc:"What the manager is told, or whoever answers an informational call" example:"A call from the site"`
	Voice       string           `json:"voice,omitempty" example:"ruinternalfemale"`
	Mode        string           `json:"mode,omitempty" doc:"Who is called first: manager_first or customer_first" example:"manager_first"`
	Sound       string           `json:"sound,omitempty" doc:"What an informational call plays instead of a text" example:"hello.wav"`
	Repeat      int              `json:"repeat,omitempty" doc:"How many times an informational call plays its message; left out: once" example:"2"`
	Gather      int              `json:"gather,omitempty" doc:"How many keys it waits for; left out: none" example:"1"`
	NotBefore   *time.Time       `json:"not_before,omitempty" doc:"When it was ordered for"`
	CreatedAt   time.Time        `json:"created_at"`
	AnsweredAt  *time.Time       `json:"answered_at" doc:"When the two could hear each other; when an informational call was answered"`
	EndedAt     *time.Time       `json:"ended_at"`
	NextAt      *time.Time       `json:"next_at,omitempty" doc:"When the next attempt is due; of a scheduled call the promised time"`
	TalkMS      int64            `json:"talk_ms" doc:"How long the two talked, milliseconds" example:"61500"`
	RingMS      int64            `json:"ring_ms" doc:"How long the customer's phone rang, milliseconds" example:"6200"`
	Attempts    []Attempt        `json:"attempts" nullable:"false"`
	Legs        []Leg            `json:"legs" nullable:"false"`
	Recording   *RecordingOfCall `json:"recording,omitempty"`
	Info        *Info            `json:"info,omitempty" doc:"The result of an informational call that has ended"`
	Duplicate   bool             `json:"duplicate,omitempty" doc:"The request repeated this call, nothing new was placed" example:"false"`
	Durability  string           `json:"durability,omitempty" doc:"Only where a call was placed or repeated: local says that it is kept on this machine alone until the shared store is back" example:"local"`
}

// Endpoint is who took part in a call.
type Endpoint struct {
	Number    string `json:"number,omitempty" example:"+74950000001"`
	Extension string `json:"extension,omitempty" example:"101"`
	Name      string `json:"name,omitempty" example:"Anna"`
}

// Attempt is one try to complete a call.
type Attempt struct {
	N           int        `json:"n" doc:"From 1" example:"1"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	Result      *string    `json:"result" example:"completed"`
	Code        *string    `json:"code" example:"200"`
	Reason      *string    `json:"reason" example:"the two have talked"`
	ReasonOwner *string    `json:"reason_owner" example:"customer"`
}

// Leg is one phone's part of a call.
type Leg struct {
	ID         string     `json:"id" example:"0199a1b2c3d57e5f8091a2b3c4d5e6f8"`
	Attempt    int        `json:"attempt" example:"1"`
	Role       string     `json:"role" doc:"manager, customer, caller or callee" example:"customer"`
	Number     string     `json:"number,omitempty" example:"+74950000001"`
	Trunk      string     `json:"trunk,omitempty" example:"provider"`
	Extension  string     `json:"extension,omitempty" example:"101"`
	State      string     `json:"state" doc:"dialling, ringing, answered or ended" example:"ended"`
	SIPCode    *int       `json:"sip_code" doc:"Final SIP status" example:"200"`
	Q850       *int       `json:"q850" doc:"Q.850 cause of a Reason header" example:"16"`
	Reason     *string    `json:"reason" example:"Normal call clearing"`
	StartedAt  time.Time  `json:"started_at"`
	RingAt     *time.Time `json:"ring_at"`
	AnsweredAt *time.Time `json:"answered_at"`
	EndedAt    *time.Time `json:"ended_at"`
	NoAudio    bool       `json:"no_audio" doc:"No sound came from it for 5 s after the answer" example:"false"`
	Quality    *Quality   `json:"quality,omitempty" doc:"What was measured on the sound; null where it could not be"`
}

// Quality is what was measured on a leg's sound.
type Quality struct {
	Codec       string   `json:"codec" example:"PCMA"`
	PacketsIn   uint64   `json:"packets_in" example:"3075"`
	PacketsOut  uint64   `json:"packets_out" example:"3075"`
	Lost        *int64   `json:"lost" doc:"Packets towards us that never came" example:"2"`
	JitterMS    *float64 `json:"jitter_ms" example:"1.2"`
	RoundTripMS *float64 `json:"round_trip_ms" example:"18.4"`
	SRTP        string   `json:"srtp,omitempty" doc:"Suite that the sound was encrypted with; left out where it was plain" example:"AES_CM_128_HMAC_SHA1_80"`
}

// Info is the result of an informational call, as a business process needs it.
type Info struct {
	OK      string `json:"ok" doc:"Y: somebody answered and enough of the message was played; else N" example:"Y"`
	Text    string `json:"text" doc:"The result in the configured language and its code" example:"Success (200)"`
	Code    string `json:"code" doc:"That of the call" example:"200"`
	HeardMS int64  `json:"heard_ms" doc:"How much of the message was played, repetitions included, milliseconds" example:"3700"`
	Digits  string `json:"digits" doc:"The keys that were pressed, where gather asks for some" example:"1"`

	AnsweredBy string `json:"answered_by,omitempty" doc:"person, machine, silent or unsure, where answering_machine asks who it is" example:"person"`
}

// RecordingOfCall says where a call's sound is.
type RecordingOfCall struct {
	URL        string `json:"url" doc:"Path of the audio on this server" example:"/api/v1/calls/0199a1b2c3d47e5f8091a2b3c4d5e6f7/recording"`
	File       string `json:"file" doc:"Name below the server's recordings directory" example:"2027-01-11/0199a1b2c3d47e5f8091a2b3c4d5e6f7.wav"`
	DurationMS int64  `json:"duration_ms" example:"61500"`
	Bytes      int64  `json:"bytes" example:"984058"`

	RemovedAt *time.Time `json:"removed_at,omitempty" doc:"When the audio was removed, for it had been kept for long enough; left out while it is there"`
}

// Event is one entry of the log, and of its call's timeline if it is of one.
type Event struct {
	ID     string          `json:"id" doc:"Grows from event to event" example:"000000000000002a"`
	Type   string          `json:"type" example:"call.state"`
	At     time.Time       `json:"at"`
	CallID string          `json:"call_id,omitempty" doc:"Left out where it is of no call" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
	Data   json.RawMessage `json:"data,omitempty" doc:"Depends on the type" example:"{\"state\":\"ringing_manager\"}"`
}

// CallList is a page of calls, newest first.
type CallList struct {
	Calls []Call `json:"calls" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; left out on the last" example:"MjAyNy0wMS0x"`
}

// EventList is a page of events, oldest first.
type EventList struct {
	Events []Event `json:"events" nullable:"false"`
	Next   string  `json:"next,omitempty" doc:"Value of after for the next page; left out on the last" example:"000000000000002a"`
}

// viewer translates records for clients.
type viewer struct{ zone *time.Location }

// time is a moment in the viewer's zone, to the millisecond.
func (v viewer) time(t time.Time) time.Time { return t.In(v.zone).Truncate(time.Millisecond) }

func (v viewer) timeOrNull(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(v.time(*t))
}

// orNull is nil for what is empty.
func orNull[T ~string](s T) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

func intOrNull(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func (v viewer) call(c store.Call) Call {
	out := Call{
		ID: c.ID, Kind: string(c.Kind), State: string(c.State),
		Result: orNull(c.Result), Code: orNull(c.Code), Reason: orNull(c.Reason),
		ReasonOwner: orNull(c.ReasonOwner), HangupBy: orNull(c.HangupBy),
		Line: c.Line, Number: c.Number, Manager: (*Endpoint)(c.Manager), Customer: (*Endpoint)(c.Customer),
		Text: c.Request.Text, Voice: c.Request.Voice, Mode: c.Request.Mode, NotBefore: v.timeOrNull(c.Request.NotBefore), Sound: c.Request.Sound, Repeat: c.Request.Repeat, Gather: c.Request.Gather,
		CreatedAt: v.time(c.CreatedAt), AnsweredAt: v.timeOrNull(c.AnsweredAt), EndedAt: v.timeOrNull(c.EndedAt),
		NextAt: v.timeOrNull(c.NextAt), TalkMS: c.TalkMS, RingMS: c.RingMS,
		Attempts: make([]Attempt, 0, len(c.Attempts)), Legs: make([]Leg, 0, len(c.Legs)),
		Durability: c.Durability,
	}
	for _, a := range c.Attempts {
		out.Attempts = append(out.Attempts, Attempt{
			N: a.N, StartedAt: v.time(a.StartedAt), EndedAt: v.timeOrNull(a.EndedAt),
			Result: orNull(a.Result), Code: orNull(a.Code), Reason: orNull(a.Reason), ReasonOwner: orNull(a.ReasonOwner),
		})
	}
	for _, l := range c.Legs {
		out.Legs = append(out.Legs, v.leg(l))
	}
	if c.Info != nil && c.State == store.StateEnded {
		out.Info = (*Info)(c.Info)
	}
	if r := c.Recording; r != nil {
		out.Recording = &RecordingOfCall{
			URL: recordingPath(c.ID), File: r.File, DurationMS: r.DurationMS, Bytes: r.Bytes, RemovedAt: v.timeOrNull(r.RemovedAt),
		}
	}
	return out
}

func (v viewer) leg(l store.Leg) Leg {
	return Leg{
		ID: l.ID, Attempt: l.Attempt, Role: string(l.Role), Number: l.Number, Trunk: l.Trunk, Extension: l.Extension,
		State: string(l.State), SIPCode: intOrNull(l.SIPCode), Q850: intOrNull(l.Q850), Reason: orNull(l.Reason),
		StartedAt: v.time(l.StartedAt), RingAt: v.timeOrNull(l.RingAt), AnsweredAt: v.timeOrNull(l.AnsweredAt),
		EndedAt: v.timeOrNull(l.EndedAt), NoAudio: l.NoAudio, Quality: (*Quality)(l.Quality),
	}
}

func (v viewer) event(e store.Event) Event {
	return Event{ID: e.ID, Type: e.Type, At: v.time(e.At), CallID: e.CallID, Data: e.Data}
}

// frame is an event as a stream sends it. Types and ids are one line each, and
// so is JSON.
func (v viewer) frame(e store.Event) *frame {
	var text bytes.Buffer
	fmt.Fprintf(&text, "id: %s\nevent: %s\ndata: ", e.ID, e.Type)
	if err := encode(&text, v.event(e)); err != nil { // data that is no JSON
		text.WriteString(`{"id":"` + e.ID + "\"}\n")
	}
	text.WriteByte('\n')
	return &frame{id: e.ID, kind: e.Type, call: e.CallID, text: text.Bytes()}
}
