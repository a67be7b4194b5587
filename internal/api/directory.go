package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
)

// Line is a line of the configuration.
type Line struct {
	ID     string   `json:"id" example:"main"`
	Name   string   `json:"name,omitempty" example:"Main office"`
	Number string   `json:"number" example:"+74950000000"`
	Trunks []string `json:"trunks" nullable:"false" example:"provider"`
	Record bool     `json:"record" doc:"Calls are recorded" example:"true"`

	Hours   *Hours     `json:"hours,omitempty" doc:"When it is open; left out where it always is"`
	Open    bool       `json:"open" doc:"It is open now" example:"true"`
	OpensAt *time.Time `json:"opens_at" doc:"When a closed line opens next; null where it is open, or never opens"`
}

// Hours are the working hours of a line.
type Hours struct {
	Zone     string   `json:"zone" example:"Europe/Moscow"`
	Open     []string `json:"open" nullable:"false" example:"Mon-Fri 09:00-18:00"`
	Holidays int      `json:"holidays" doc:"On how many dates it is closed" example:"2"`
}

// Extension is an internal number and its phones.
type Extension struct {
	Number  string `json:"number" example:"101"`
	Name    string `json:"name,omitempty" example:"Anna"`
	Contact string `json:"contact,omitempty" doc:"Where a phone at a fixed address is" example:"sip:101@192.0.2.20:5060"`
	Mobile  string `json:"mobile,omitempty" example:"+79160000000"`

	DND bool `json:"dnd" doc:"Do not disturb: nobody's call rings its phones" example:"false"`

	Registers bool    `json:"registers" doc:"Phones register as this extension: it has a password" example:"true"`
	Phones    []Phone `json:"phones" nullable:"false" doc:"The phones that are registered now, the newest first"`

	LastFailure *LoginFailure `json:"last_failure" doc:"The last phone that was not let in as this extension since the server started; null where there was none"`
}

// Voice is a voice that texts can be spoken in.
type Voice struct {
	ID       string `json:"id" example:"ruinternalfemale"`
	Name     string `json:"name,omitempty" example:"Русский (женский)"`
	Language string `json:"language,omitempty" example:"ru"`
	Engine   string `json:"engine" example:"local"`
	Default  bool   `json:"default" example:"true"`
}

// LineList is every line that the client may use.
type LineList struct {
	Lines []Line `json:"lines" nullable:"false"`
}

// ExtensionList is every extension.
type ExtensionList struct {
	Extensions []Extension `json:"extensions" nullable:"false"`
}

// VoiceList is every voice.
type VoiceList struct {
	Voices []Voice `json:"voices" nullable:"false"`
}

type noInput struct{ strictQuery }

type (
	linesOutput      struct{ Body LineList }
	extensionsOutput struct{ Body ExtensionList }
	voicesOutput     struct{ Body VoiceList }
	statusOutput     struct{ Body Status }
)

func (a *API) routeDirectory(h huma.API) {
	huma.Register(h, directory(tagThings, "list-lines", "lines", "List the lines", "A key with lines sees these."), a.listLines)
	huma.Register(h, directory(tagThings, "list-extensions", "extensions", "List the extensions", "The internal numbers, and which phones are registered as them."), a.listExtensions)
	voices := directory(tagSpeech, "list-voices", "voices", "List the voices", "What may stand in voice of a callback and of speech.", ScopeCallback, ScopeInfocall)
	huma.Register(h, voices, a.listVoices)
	huma.Register(h, directory(tagHealth, "get-status", "status", "Show how the server is", "Whether it takes calls, what is wrong, how many calls there are."), a.getStatus)
}

// directory describes an operation that shows a part of what there is.
func directory(tag, id, path, summary, description string, alsoFor ...string) huma.Operation {
	return secured(huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: "/api/v1/" + path, Summary: summary, Description: description,
		Tags: []string{tag},
	}, append([]string{ScopeRead, ScopeCalls}, alsoFor...)...)
}

func (a *API) listLines(ctx context.Context, _ *noInput) (*linesOutput, error) {
	who := clientOf(ctx)
	out, now := LineList{Lines: []Line{}}, time.Now()
	for _, l := range a.cfg().Lines {
		if who.sees(l.ID) {
			out.Lines = append(out.Lines, a.line(&l, now))
		}
	}
	return &linesOutput{out}, nil
}

// line tells of a line and whether it is open.
func (a *API) line(l *configs.Line, now time.Time) Line {
	out := Line{
		ID: l.ID, Name: l.Name, Number: l.Number, Trunks: append([]string{}, l.Trunks...), Record: l.Record,
		Open: route.Open(l.Hours, now),
	}
	if h := l.Hours; h != nil {
		out.Hours = &Hours{Zone: h.Zone, Open: append([]string{}, h.Open...), Holidays: len(h.Holidays)}
	}
	if opens, ok := route.NextOpening(l.Hours, now); ok && !out.Open {
		out.OpensAt = new(a.view().time(opens))
	}
	return out
}

func (a *API) listExtensions(context.Context, *noInput) (*extensionsOutput, error) {
	out := ExtensionList{Extensions: []Extension{}}
	cfg := a.cfg()
	for i := range cfg.Extensions {
		out.Extensions = append(out.Extensions, a.extension(&cfg.Extensions[i]))
	}
	return &extensionsOutput{out}, nil
}

func (a *API) listVoices(context.Context, *noInput) (*voicesOutput, error) {
	out := VoiceList{Voices: []Voice{}}
	for id, v := range a.cfg().TTS.Voices {
		out.Voices = append(out.Voices, Voice{
			ID: id, Name: v.Name, Language: v.Language, Engine: v.Engine, Default: id == a.cfg().TTS.Voice,
		})
	}
	slices.SortFunc(out.Voices, func(x, y Voice) int { return cmp.Compare(x.ID, y.ID) })
	return &voicesOutput{out}, nil
}

func (a *API) getStatus(ctx context.Context, _ *noInput) (*statusOutput, error) {
	s := a.Health.Status(ctx)
	s.StartedAt = a.view().time(s.StartedAt)
	if s.Version == "" {
		s.Version = a.Version
	}
	if s.Speech == nil {
		s.Speech = []SpeechEngine{}
	}
	s.Open = maps.Clone(s.Open)
	delete(s.Open, string(store.StateEnded)) // over, its last records are on their way
	if s.Store.Since != nil {
		s.Store.Since = new(a.view().time(*s.Store.Since))
	}
	unready, degraded := a.Health.Unready(ctx), a.Health.Degraded(ctx)
	s.Problems = slices.Concat([]Reason{}, unready, degraded, s.Problems)
	_, draining := a.Health.Draining()
	switch {
	case draining:
		s.State = "draining"
	case len(unready) > 0:
		s.State = "not_ready"
	case len(degraded) > 0:
		s.State = "degraded"
	default:
		s.State = "ready"
	}
	return &statusOutput{s}, nil
}
