package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// Paths of the documentation.
const (
	openAPIPath    = "/openapi.json"
	openAPIYAML    = "/openapi.yaml"
	openAPI30Path  = "/openapi-3.0.json"
	openAPIDocPath = "/docs"
)

const schemaPrefix = "#/components/schemas/"

// Groups of operations, in the order of the documentation.
const (
	tagCallbacks = "Callbacks"
	tagInfocalls = "Informational calls"
	tagCalls     = "Calls"
	tagEvents    = "Events"
	tagSpeech    = "Speech"
	tagThings    = "What there is"
	tagHealth    = "Health"
)

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: tagCallbacks, Description: "Calling people back"},
		{Name: tagInfocalls, Description: "Calling people to tell them something"},
		{Name: tagCalls, Description: "Calls in progress and past, and their sound"},
		{Name: tagEvents, Description: "What happens, as pages and as streams"},
		{Name: tagSpeech, Description: "Texts and voices"},
		{Name: tagThings, Description: "Lines, trunks and extensions"},
		{Name: tagHealth, Description: "How the server is"},
	}
}

// finish turns what huma gathered into the document that is served.
func finish(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas
	problem := schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, op := range operations(doc) {
		op.Description = describe(op)
		documentProblems(op, problem)
		if op.RequestBody != nil {
			addExamples(schemas, op.RequestBody.Content)
		}
		for _, r := range op.Responses {
			addExamples(schemas, r.Content)
		}
		for _, p := range op.Parameters {
			p.Schema.Description = "" // that of the parameter says the same
		}
	}
	delete(schemas.Map(), "ErrorModel")
	delete(schemas.Map(), "ErrorDetail")
	for name, s := range schemas.Map() {
		// Requests are strict. Answers will have more fields one day.
		if !strings.HasSuffix(name, "Body") {
			s.AdditionalProperties = openOrValues(s)
		}
	}
}

// openOrValues keeps the schema of a map's values.
func openOrValues(s *huma.Schema) any {
	if closed, ok := s.AdditionalProperties.(bool); ok && !closed {
		return nil
	}
	return s.AdditionalProperties
}

// operations are those of a document in the order of its groups, then of
// paths and methods.
func operations(doc *huma.OpenAPI) (list []*huma.Operation) {
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Post, item.Get, item.Put, item.Patch, item.Delete} {
			if op != nil {
				list = append(list, op)
			}
		}
	}
	order := make(map[string]int)
	for n, tag := range tags() {
		order[tag.Name] = n
	}
	slices.SortStableFunc(list, func(a, b *huma.Operation) int { return order[a.Tags[0]] - order[b.Tags[0]] })
	return list
}

// describe says also who may use the operation.
func describe(op *huma.Operation) string {
	scopes := metadata(op, metaScopes)
	if len(scopes) == 0 {
		return strings.TrimSpace(op.Description + " Needs no key.")
	}
	return strings.TrimSpace(op.Description + " Needs the scope " + strings.Join(scopes, " or ") + ".")
}

// documentProblems adds an answer for every status that a problem may come
// with, and an example for every code.
func documentProblems(op *huma.Operation, schema *huma.Schema) {
	delete(op.Responses, "default")
	for _, c := range problems(op) {
		status := strconv.Itoa(c.Status)
		r := op.Responses[status]
		if r == nil {
			r = &huma.Response{Content: map[string]*huma.MediaType{problemType: {Schema: schema, Examples: map[string]*huma.Example{}}}}
			if c.Status == http.StatusTooManyRequests || c.Status == http.StatusServiceUnavailable {
				r.Headers = map[string]*huma.Param{"Retry-After": {
					Description: "When to try again, seconds", Schema: &huma.Schema{Type: huma.TypeInteger, Examples: []any{5}},
				}}
			}
			op.Responses[status] = r
		} else {
			r.Description += "; "
		}
		r.Description += c.Code + ": " + c.Text
		r.Content[problemType].Examples[c.Code] = &huma.Example{Summary: c.Text, Value: c.example()}
	}
}

// addExamples gives every JSON body an example made of those of its fields.
func addExamples(schemas huma.Registry, content map[string]*huma.MediaType) {
	for kind, m := range content {
		if kind == "application/json" && m.Schema != nil && m.Example == nil {
			m.Example = exampleOf(schemas, m.Schema)
		}
	}
}

// exampleOf makes a value of a schema out of the examples of its parts.
func exampleOf(schemas huma.Registry, s *huma.Schema) any {
	if s.Ref == schemaPrefix+"Call" {
		return exampleCall(store.StateEnded)
	}
	if s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Nullable:
		return nil
	}
	switch s.Type {
	case huma.TypeObject:
		out := make(map[string]any)
		for name, field := range s.Properties {
			if slices.Contains(s.Required, name) || len(field.Examples) > 0 {
				out[name] = exampleOf(schemas, field)
			}
		}
		return out
	case huma.TypeArray:
		return []any{exampleOf(schemas, s.Items)}
	case huma.TypeInteger, huma.TypeNumber:
		return 0
	case huma.TypeBoolean:
		return false
	case huma.TypeString:
		if s.Format == "date-time" {
			return "2027-01-11T09:30:02.120+03:00"
		}
		return ""
	}
	return map[string]any{}
}

// exampleCall is a call of which the fields fit together.
func exampleCall(state store.State) Call {
	at := func(seconds int) time.Time {
		return time.Date(2027, 1, 11, 9, 30, seconds, 120e6, time.FixedZone("", 3*60*60))
	}
	c := Call{
		ID: "0199a1b2c3d47e5f8091a2b3c4d5e6f7", Kind: string(store.KindCallback), State: string(state), Line: "main", Number: "+74950000001",
		Text: "A call from the site", Voice: "ruinternalfemale", Mode: call.ManagerFirst, CreatedAt: at(0), Attempts: []Attempt{}, Legs: []Leg{},
	}
	if state != store.StateEnded {
		return c
	}
	c.Result, c.Code, c.Reason = new("completed"), new("200"), new("the two have talked")
	c.ReasonOwner, c.HangupBy = new("customer"), new("customer")
	c.Manager = &Endpoint{Number: "101", Extension: "101", Name: "Anna"}
	c.Customer = &Endpoint{Number: "+74950000001"}
	c.AnsweredAt, c.EndedAt, c.TalkMS, c.RingMS = new(at(15)), new(at(76)), 61_000, 6_200
	c.Attempts = []Attempt{{
		N: 1, StartedAt: at(0), EndedAt: new(at(76)), Result: c.Result, Code: c.Code, Reason: c.Reason, ReasonOwner: c.ReasonOwner,
	}}
	c.Legs = []Leg{{
		ID: "0199a1b2c3d57e5f8091a2b3c4d5e6f8", Attempt: 1, Role: "customer", Number: c.Number, Trunk: "provider", State: "ended",
		SIPCode: new(200), Q850: new(16), Reason: new("Normal call clearing"),
		StartedAt: at(8), RingAt: new(at(9)), AnsweredAt: new(at(15)), EndedAt: new(at(76)),
		Quality: &Quality{Codec: "PCMA", PacketsIn: 3050, PacketsOut: 3050, Lost: new(int64(0)), JitterMS: new(1.2), RoundTripMS: new(18.4)},
	}}
	c.Recording = &RecordingOfCall{
		URL: recordingPath(c.ID), File: "2027-01-11/" + c.ID + ".wav", DurationMS: 61_000, Bytes: 976_058,
	}
	return c
}

// rendered are the forms of the document that are served.
type rendered struct{ json, yaml, json30, html []byte }

func render(doc *huma.OpenAPI) (r rendered, err error) {
	if r.json, err = json.Marshal(doc); err != nil {
		return r, fmt.Errorf("render openapi: %w", err)
	}
	if r.yaml, err = doc.YAML(); err != nil {
		return r, fmt.Errorf("render openapi as yaml: %w", err)
	}
	if r.json30, err = downgrade(doc); err != nil {
		return r, fmt.Errorf("render openapi 3.0: %w", err)
	}
	if r.html, err = renderDocs(doc); err != nil {
		return r, fmt.Errorf("render docs: %w", err)
	}
	return r, nil
}

// downgrade renders OpenAPI 3.0, which many generators still want.
func downgrade(doc *huma.OpenAPI) ([]byte, error) {
	b, err := doc.Downgrade()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return nil, err
	}
	adapt(tree)
	return json.Marshal(tree)
}

// adapt mends what huma leaves of 3.1. References that have a description go
// into an allOf, since what stands beside a reference is lost in 3.0, and files
// get a schema.
func adapt(tree any) {
	switch node := tree.(type) {
	case map[string]any:
		for _, kind := range []string{wavType, pcapType} {
			if _, ok := node[kind]; ok {
				node[kind] = map[string]any{"schema": map[string]any{"type": "string", "format": "binary"}}
			}
		}
		if kind, ok := node["contentMediaType"]; ok && kind == "application/octet-stream" {
			delete(node, "contentMediaType")
			node["format"] = "binary"
		}
		if ref, ok := node["$ref"]; ok && len(node) > 1 {
			delete(node, "$ref")
			node["allOf"] = []any{map[string]any{"$ref": ref}}
			return
		}
		for _, child := range node {
			adapt(child)
		}
	case []any:
		for _, child := range node {
			adapt(child)
		}
	}
}
