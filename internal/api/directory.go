package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/store"
)

// Line is a line of the configuration.
type Line struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`
	Number string   `json:"number"`
	Trunks []string `json:"trunks" nullable:"false"`
	Record bool     `json:"record" doc:"Calls are recorded"`
}

// Extension is an internal phone.
type Extension struct {
	Number  string `json:"number"`
	Name    string `json:"name,omitempty"`
	Contact string `json:"contact,omitempty" doc:"Where the phone is"`
	Mobile  string `json:"mobile,omitempty"`
}

// Voice is a voice that texts can be spoken in.
type Voice struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Language string `json:"language,omitempty"`
	Engine   string `json:"engine"`
	Default  bool   `json:"default"`
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
	huma.Register(h, directory("list-lines", "lines", "List the lines", "A key with lines sees these."), a.listLines)
	huma.Register(h, directory("list-extensions", "extensions", "List the extensions", ""), a.listExtensions)
	voices := directory("list-voices", "voices", "List the voices", "What may stand in voice of a callback and of speech.", ScopeCallback)
	huma.Register(h, voices, a.listVoices)
	huma.Register(h, directory("get-status", "status", "Show how the server is", ""), a.getStatus)
}

// directory describes an operation that shows a part of what there is.
func directory(id, path, summary, description string, alsoFor ...string) huma.Operation {
	return secured(huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: "/api/v1/" + path, Summary: summary, Description: description,
		Errors: []int{401, 403},
	}, append([]string{ScopeRead, ScopeCalls}, alsoFor...)...)
}

func (a *API) listLines(ctx context.Context, _ *noInput) (*linesOutput, error) {
	who := clientOf(ctx)
	out := LineList{Lines: []Line{}}
	for _, l := range a.Config.Lines {
		if who.sees(l.ID) {
			out.Lines = append(out.Lines, Line{
				ID: l.ID, Name: l.Name, Number: l.Number, Trunks: append([]string{}, l.Trunks...), Record: l.Record,
			})
		}
	}
	return &linesOutput{out}, nil
}

func (a *API) listExtensions(context.Context, *noInput) (*extensionsOutput, error) {
	out := ExtensionList{Extensions: []Extension{}}
	for _, e := range a.Config.Extensions {
		out.Extensions = append(out.Extensions, Extension{Number: e.Number, Name: e.Name, Contact: e.Contact, Mobile: e.Mobile})
	}
	return &extensionsOutput{out}, nil
}

func (a *API) listVoices(context.Context, *noInput) (*voicesOutput, error) {
	out := VoiceList{Voices: []Voice{}}
	for id, v := range a.Config.TTS.Voices {
		out.Voices = append(out.Voices, Voice{
			ID: id, Name: v.Name, Language: v.Language, Engine: v.Engine, Default: id == a.Config.TTS.Voice,
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
	s.Open = maps.Clone(s.Open)
	delete(s.Open, string(store.StateEnded)) // over, its last records are on their way
	unready := a.Health.Unready(ctx)
	s.Problems = append(append([]Reason{}, unready...), s.Problems...)
	_, draining := a.Health.Draining()
	switch {
	case draining:
		s.State = "draining"
	case len(unready) > 0:
		s.State = "not_ready"
	default:
		s.State = "ready"
	}
	return &statusOutput{s}, nil
}
