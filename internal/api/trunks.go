package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/configs"
)

// Trunks tells how the trunks are.
type Trunks interface {
	// Trunks returns the state of every trunk, by name.
	Trunks() map[string]TrunkState
}

// TrunkState is what is known of a trunk at one moment.
type TrunkState struct {
	Up, Known  bool // where it is not known, up is assumed
	Registered bool
	Expires    time.Time      // of the registration; zero: there is none
	RoundTrip  *time.Duration // of the last OPTIONS that was answered; nil: none was
	Reason     string         // why it is down
	Since      time.Time      // when Up became what it is
	Address    string         // host:port in use; empty: none
	Transport  string         // udp, tcp or tls
	Rests      time.Time      // until when others go first; zero: they need not
	SeenAt     string         // our public address, as it sees us; empty: not said
	Incoming   int            // calls from it that it carries now
	Outgoing   int            // calls to it
}

// Trunk is a connection to a provider.
type Trunk struct {
	Name        string     `json:"name" example:"provider"`
	Host        string     `json:"host" doc:"Host, or host and port, of the configuration" example:"sip.example.net"`
	Transport   string     `json:"transport" doc:"udp, tcp or tls" example:"udp"`
	State       string     `json:"state" doc:"up, down, or unknown where nobody has asked it yet" enum:"up,down,unknown" example:"up"`
	Register    bool       `json:"register" doc:"It is one to register at" example:"true"`
	Registered  bool       `json:"registered" doc:"There is a registration" example:"true"`
	ExpiresAt   *time.Time `json:"expires_at" doc:"When the registration ends unless it is refreshed" example:"2027-01-11T10:30:00+03:00"`
	RoundTripMS *float64   `json:"round_trip_ms" doc:"How long the last answered OPTIONS took, milliseconds" example:"12.5"`
	Reason      *string    `json:"reason" doc:"Why it is down and what to do about it"`
	Since       *time.Time `json:"since" doc:"Since when it is in this state" example:"2027-01-11T09:00:00+03:00"`
	Address     *string    `json:"address" doc:"Address and port in use" example:"192.0.2.10:5060"`
	RestsUntil  *time.Time `json:"rests_until" doc:"Until when calls take other trunks first: it was silent or answered 503" example:"2027-01-11T09:10:00+03:00"`
	SeenAt      *string    `json:"seen_at" doc:"Where it sees this server, where that is an address of the Internet" example:"198.51.100.7:5060"`
	Incoming    int        `json:"incoming" doc:"Calls from it that are up or ring" example:"1"`
	Outgoing    int        `json:"outgoing" doc:"Calls to it that are up or ring" example:"2"`
	MaxCalls    *int       `json:"max_calls" doc:"How many calls it may carry at one time; null: any number" example:"10"`
	Lines       []string   `json:"lines" nullable:"false" doc:"Ids of the lines that use it" example:"main"`
}

// TrunkList is every trunk that lines of the client use.
type TrunkList struct {
	Trunks []Trunk `json:"trunks" nullable:"false"`
}

type trunksOutput struct{ Body TrunkList }

func (a *API) routeTrunks(h huma.API) {
	huma.Register(h, directory(tagThings, "list-trunks", "trunks", "List the trunks and how they are",
		"In the order of the configuration. A key with lines sees the trunks of these lines. A trunk is down when its registration "+
			"has failed, when it twice did not answer OPTIONS, or when its host has no address."), a.listTrunks)
}

func (a *API) listTrunks(ctx context.Context, _ *noInput) (*trunksOutput, error) {
	var states map[string]TrunkState
	if a.Trunks != nil {
		states = a.Trunks.Trunks()
	}
	who := clientOf(ctx)
	out := TrunkList{Trunks: []Trunk{}}
	cfg := a.cfg()
	for i := range cfg.Trunks {
		t := &cfg.Trunks[i]
		lines := a.linesOf(t.Name, who)
		if len(who.lines) > 0 && len(lines) == 0 {
			continue
		}
		out.Trunks = append(out.Trunks, a.view().trunk(t, states[t.Name], lines))
	}
	return &trunksOutput{out}, nil
}

// linesOf names the lines that use a trunk, as far as the client may know.
func (a *API) linesOf(trunk string, who *client) []string {
	lines := []string{}
	cfg := a.cfg()
	for i := range cfg.Lines {
		if l := &cfg.Lines[i]; l.Uses(trunk) && who.sees(l.ID) {
			lines = append(lines, l.ID)
		}
	}
	return lines
}

func (v viewer) trunk(t *configs.Trunk, s TrunkState, lines []string) Trunk {
	out := Trunk{
		Name: t.Name, Host: t.Host, Transport: t.Transport, State: "unknown", Register: t.Register, Registered: s.Registered,
		Reason: orNull(s.Reason), Address: orNull(s.Address), SeenAt: orNull(s.SeenAt),
		Incoming: s.Incoming, Outgoing: s.Outgoing, Lines: lines,
	}
	if t.MaxCalls > 0 {
		out.MaxCalls = new(t.MaxCalls)
	}
	if !s.Rests.IsZero() {
		out.RestsUntil = new(v.time(s.Rests))
	}
	if s.Transport != "" {
		out.Transport = s.Transport
	}
	switch {
	case s.Known && s.Up:
		out.State = "up"
	case s.Known:
		out.State = "down"
	}
	if !s.Expires.IsZero() {
		out.ExpiresAt = new(v.time(s.Expires))
	}
	if !s.Since.IsZero() {
		out.Since = new(v.time(s.Since))
	}
	if s.RoundTrip != nil {
		out.RoundTripMS = new(float64(s.RoundTrip.Microseconds()) / 1000)
	}
	return out
}
