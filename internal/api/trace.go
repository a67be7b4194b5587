package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/store"
	"perezvon/internal/trace"
)

// Traces tell what went over the wire in calls.
type Traces interface {
	// Trace returns trace.ErrNone where nothing is known of a call.
	Trace(ctx context.Context, callID string) (trace.Trace, error)
}

// Forms of a trace, besides JSON.
const (
	jsonType = "application/json"
	textType = "text/plain"
	pcapType = "application/vnd.tcpdump.pcap"
)

// Trace is what went over the wire in a call.
type Trace struct {
	CallID     string           `json:"call_id" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
	Parties    []TraceParty     `json:"parties" nullable:"false" doc:"Who took part besides us, in the order in which they appear"`
	Messages   []TraceMessage   `json:"messages" nullable:"false" doc:"SIP messages in the order of time, without passwords and keys"`
	LeftOut    int              `json:"left_out" doc:"How many messages between the first and the last are not kept" example:"0"`
	Milestones []TraceMilestone `json:"milestones" nullable:"false" doc:"What happened to the sound"`
	Story      []TraceLine      `json:"story" nullable:"false" doc:"What happened, in plain words"`
	Ladder     string           `json:"ladder" doc:"The messages drawn as text"`
}

// TraceParty is somebody at the other end of messages.
type TraceParty struct {
	Name      string `json:"name" doc:"Extension or trunk" example:"provider"`
	Address   string `json:"address" example:"192.0.2.10:5060"`
	Transport string `json:"transport" doc:"udp, tcp or tls" example:"udp"`
}

// TraceMessage is one SIP message.
type TraceMessage struct {
	N         int       `json:"n" doc:"From 1" example:"1"`
	At        time.Time `json:"at"`
	Sent      bool      `json:"sent" doc:"By us; else it came" example:"true"`
	Party     int       `json:"party" doc:"To or from whom: the place in parties, from 0" example:"0"`
	Transport string    `json:"transport" doc:"udp, tcp or tls" example:"udp"`
	Local     string    `json:"local" doc:"Our address" example:"192.0.2.1:5060"`
	Remote    string    `json:"remote" doc:"Theirs" example:"192.0.2.10:5060"`
	Summary   string    `json:"summary" doc:"Method or status" example:"180 Ringing"`
	Again     int       `json:"again,omitempty" doc:"n of the message that this one repeats" example:"3"`
	SIPCallID string    `json:"sip_call_id" doc:"Value of its Call-ID header" example:"f3c23a856597e51a"`
	Leg       string    `json:"leg,omitempty" doc:"Id of the leg, where it is known" example:"0199a1b2c3d57e5f8091a2b3c4d5e6f8"`
	Size      int       `json:"size" doc:"Bytes on the wire" example:"542"`
	Text      string    `json:"text" doc:"The message, without secrets; of one above 16 KiB the beginning"`
}

// TraceMilestone is something that happened to the sound of a leg.
type TraceMilestone struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind" doc:"agreed, held, resumed, sending, hearing, digit or no_sound" example:"agreed"`
	Leg  string    `json:"leg,omitempty" doc:"Id of the leg" example:"0199a1b2c3d57e5f8091a2b3c4d5e6f8"`
	Port int       `json:"port" doc:"Our RTP port" example:"20000"`
	Peer string    `json:"peer,omitempty" doc:"Where sound comes from or goes to" example:"192.0.2.10:4000"`
	Text string    `json:"text,omitempty" doc:"The codec" example:"PCMA"`
}

// TraceLine is a sentence of the story.
type TraceLine struct {
	Kind string `json:"kind" doc:"fact, problem or advice" example:"problem"`
	Text string `json:"text" example:"Trunk provider answered 403 Forbidden to our INVITE: the provider knows us and does not let us call."`
}

func (a *API) routeTrace(h huma.API) {
	schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Trace](), true, "Trace")
	huma.Register(h, secured(huma.Operation{
		OperationID: "get-trace", Method: http.MethodGet, Path: callsPath + "/{id}/trace",
		Summary: "Show what went over the wire in a call",
		Description: "Its SIP messages, what happened to its sound, and what that means, also of a call in progress. `Accept: text/plain` asks for it as text, " +
			"`Accept: " + pcapType + "` for a file that Wireshark opens. Passwords and keys are taken out; of very long calls the first and the last messages are kept.",
		Responses: map[string]*huma.Response{"200": {Description: "The trace", Content: map[string]*huma.MediaType{
			jsonType: {Schema: schema},
			textType: {Schema: &huma.Schema{Type: huma.TypeString}, Example: "At 0:00.000 we called phone 101 at 192.0.2.21:5060 over UDP."},
			pcapType: {},
		}}},
		Tags: []string{tagCalls}, Metadata: fails(CodeCallNotFound, CodeTraceNotFound, CodeStoreAway),
	}, ScopeRead, ScopeCalls), a.getTrace)
}

func (a *API) getTrace(ctx context.Context, in *callInput) (*huma.StreamResponse, error) {
	c, err := a.findCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t, err := a.traceOf(ctx, c)
	if err != nil {
		return nil, a.problemOf(ctx, "read trace", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		body, kind, file := []byte(nil), traceForm(r.Header.Values("Accept")), ".json"
		switch kind {
		case textType:
			body, kind, file = []byte(trace.NewReport(t, c).Text(a.Zone)), textType+"; charset=utf-8", ".txt"
		case pcapType:
			body, file = trace.Capture(t), ".pcap"
		default:
			var b strings.Builder
			if err := encode(&b, a.view().trace(t, c)); err != nil { // our own plain structs: it does not happen
				a.Logger.Error("trace not written", "error", err)
				return
			}
			body = []byte(b.String())
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Header().Set("Content-Disposition", `inline; filename="`+c.ID+file+`"`)
		w.Header().Set("Cache-Control", "private, no-store")
		w.Header().Set("Vary", "Accept")
		if _, err := w.Write(body); err != nil {
			a.Logger.Debug("trace not delivered", "error", err)
		}
	}}, nil
}

func (a *API) traceOf(ctx context.Context, c store.Call) (trace.Trace, error) {
	if a.Traces == nil {
		return trace.Trace{}, newProblem(http.StatusNotFound, CodeTraceNotFound, "traces are off (trace.keep in the configuration)")
	}
	t, err := a.Traces.Trace(ctx, c.ID)
	if !errors.Is(err, trace.ErrNone) {
		return t, err
	}
	why := "nothing has gone over the wire yet"
	if c.State == store.StateEnded {
		why = "it was cleared after trace.keep, the server was killed during the call, or nothing went over the wire"
	}
	return t, newProblem(http.StatusNotFound, CodeTraceNotFound, "there is no trace of this call: "+why)
}

// traceForm picks the first form of an Accept header that we have; else JSON.
func traceForm(accept []string) string {
	for one := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, _, _ := strings.Cut(one, ";")
		switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
		case jsonType, textType, pcapType:
			return kind
		}
	}
	return jsonType
}

// trace is one as clients see it.
func (v viewer) trace(t trace.Trace, c store.Call) Trace {
	r := trace.NewReport(t, c)
	out := Trace{
		CallID: c.ID, LeftOut: r.LeftOut, Ladder: r.Ladder(),
		Parties: make([]TraceParty, 0, len(r.Parties)), Messages: make([]TraceMessage, 0, len(r.Steps)),
		Milestones: make([]TraceMilestone, 0, len(r.Milestones)), Story: make([]TraceLine, 0, len(r.Story)),
	}
	for _, p := range r.Parties {
		out.Parties = append(out.Parties, TraceParty{p.Name, p.Addr.String(), p.Via})
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		out.Messages = append(out.Messages, TraceMessage{
			N: s.N, At: s.At.In(v.zone), Sent: s.Sent, Party: s.Party, Transport: s.Transport,
			Local: s.Local.String(), Remote: s.Remote.String(), Summary: s.Text, Again: s.Again, SIPCallID: s.SIPID,
			Leg: s.Leg, Size: s.Size, Text: strings.ToValidUTF8(string(s.Data), "\uFFFD"),
		})
	}
	for _, m := range r.Milestones {
		one := TraceMilestone{At: m.At.In(v.zone), Kind: m.Kind, Leg: m.Leg, Port: int(m.Port), Text: m.Text}
		if m.Peer.IsValid() {
			one.Peer = m.Peer.String()
		}
		out.Milestones = append(out.Milestones, one)
	}
	for _, l := range r.Story {
		out.Story = append(out.Story, TraceLine(l))
	}
	return out
}
