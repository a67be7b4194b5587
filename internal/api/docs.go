package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsTemplate string

// routeDocs serves the documentation. It holds no secrets, but what does not
// have to be seen by everybody is not: programs on this machine may read it,
// and whoever has any key. Browsers ask for the key as for a password.
func (a *API) routeDocs(doc *huma.OpenAPI) {
	docs := sync.OnceValues(func() (rendered, error) { return render(doc) }) // takes a while, and most never ask
	serve := func(path, kind string, form func(rendered) []byte) {
		a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if p := a.mayReadDocs(r); p != nil {
				p.write(w, a.Logger)
				return
			}
			forms, err := docs()
			if err != nil {
				a.problemOf(r.Context(), "document", err).write(w, a.Logger)
				return
			}
			body, h := form(forms), w.Header()
			h.Set("Content-Type", kind)
			h.Set("Content-Length", strconv.Itoa(len(body)))
			// Nothing is loaded from anywhere and nothing runs.
			h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			if _, err := w.Write(body); err != nil {
				a.Logger.Debug("documentation not delivered", "error", err)
			}
		})
	}
	serve(openAPIPath, "application/openapi+json", func(r rendered) []byte { return r.json })
	serve(openAPIYAML, "application/openapi+yaml", func(r rendered) []byte { return r.yaml })
	serve(openAPI30Path, "application/openapi+json", func(r rendered) []byte { return r.json30 })
	serve(openAPIDocPath, "text/html; charset=utf-8", func(r rendered) []byte { return r.html })
}

// mayReadDocs refuses those who are neither on this machine nor have a key.
func (a *API) mayReadDocs(r *http.Request) *Problem {
	if len(a.keys()) == 0 || local(r) == nil { // without keys the guard has looked
		return nil
	}
	if _, password, ok := r.BasicAuth(); ok && a.find(strings.TrimSpace(password)) != nil {
		return nil
	}
	_, p := a.identify(r)
	if p != nil {
		p.header.Add("WWW-Authenticate", `Basic realm="Perezvon: any name, the key as password", charset="UTF-8"`)
	}
	return p
}

// page is what the template shows.
type page struct {
	Title, Version, Description string
	Groups                      []docGroup
	Schemas                     []docSchema
	Codes                       []codeInfo
}

type docGroup struct {
	ID, Name, Description string
	Operations            []docOperation
}

type docOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []docParameter
	Body                                   string // name of its schema
	Curl                                   string
	Answers                                []docAnswer
	Problems                               []codeInfo
}

type docParameter struct {
	Name, In, Type, Description string
	Required                    bool
}

type docAnswer struct {
	Status, Description, Type, Schema, Example string
}

type docSchema struct {
	Name   string
	Fields []docField
}

type docField struct {
	Name, Type, Link, Description, Example string
	Required                               bool
}

// renderDocs makes a page for people of the document.
func renderDocs(doc *huma.OpenAPI) ([]byte, error) {
	t, err := template.New("docs").Funcs(template.FuncMap{"prose": prose}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	p := page{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description, Codes: codes()}
	for _, tag := range doc.Tags {
		g := docGroup{ID: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), Name: tag.Name, Description: tag.Description}
		for _, op := range operations(doc) {
			if op.Tags[0] == tag.Name {
				g.Operations = append(g.Operations, docOf(op))
			}
		}
		p.Groups = append(p.Groups, g)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, docSchema{name, docFields(schemas[name])})
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func docOf(op *huma.Operation) docOperation {
	d := docOperation{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description,
		Problems: problems(op), Curl: curl(op),
	}
	for _, p := range op.Parameters {
		kind, _ := typeOf(p.Schema)
		d.Parameters = append(d.Parameters, docParameter{p.Name, p.In, kind, p.Description, p.Required})
	}
	if body := jsonBody(op); body != nil {
		d.Body, _ = typeOf(body.Schema)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if r.Content[problemType] != nil {
			continue
		}
		if len(r.Content) == 0 {
			d.Answers = append(d.Answers, docAnswer{Status: status, Description: r.Description})
		}
		for _, kind := range slices.Sorted(maps.Keys(r.Content)) {
			m := r.Content[kind]
			a := docAnswer{Status: status, Description: r.Description, Type: kind, Example: written(m.Example)}
			if m.Schema != nil && m.Schema.Ref != "" {
				a.Schema, _ = typeOf(m.Schema)
			}
			d.Answers = append(d.Answers, a)
		}
	}
	return d
}

func jsonBody(op *huma.Operation) *huma.MediaType {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"]
}

// curl is a command line that can be pasted.
func curl(op *huma.Operation) string {
	var b strings.Builder
	b.WriteString("curl -s ")
	if op.Method != http.MethodGet {
		b.WriteString("-X " + op.Method + " ")
	}
	b.WriteString("http://127.0.0.1:8080" + strings.ReplaceAll(op.Path, "{id}", "0199a1b2c3d47e5f8091a2b3c4d5e6f7"))
	if len(metadata(op, metaScopes)) > 0 {
		b.WriteString(" \\\n     -H 'Authorization: Bearer KEY'")
	}
	if body := jsonBody(op); body != nil {
		b.WriteString(" \\\n     -H 'Content-Type: application/json' \\\n     -d '" + written(body.Example) + "'")
	}
	if op.RequestBody != nil && op.RequestBody.Content[multipartForm] != nil {
		b.WriteString(" \\\n     -F file=@hello.wav")
	}
	return b.String()
}

// written is an example as text: what is no text is JSON.
func written(example any) string {
	switch v := example.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(example); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

func docFields(s *huma.Schema) (fields []docField) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		f := docField{Name: name, Description: p.Description, Required: slices.Contains(s.Required, name)}
		f.Type, f.Link = typeOf(p)
		if len(p.Examples) > 0 {
			f.Example = written(p.Examples[0])
		}
		fields = append(fields, f)
	}
	return fields
}

// typeOf is a schema in words, and the name of the one it refers to.
func typeOf(s *huma.Schema) (kind, link string) {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return name, name
	case s.Type == huma.TypeArray:
		kind, link = typeOf(s.Items)
		return "list of " + kind, link
	case s.Type == huma.TypeObject && len(s.Properties) == 0:
		return "object", ""
	case s.Type == "":
		return "anything", ""
	case s.Format == "date-time":
		kind = "time"
	default:
		kind = s.Type
	}
	if s.Nullable {
		kind += " or null"
	}
	return kind, ""
}

var quoted = regexp.MustCompile("`([^`]+)`")

// prose is text with code between backquotes. It is escaped.
func prose(s string) template.HTML {
	return template.HTML(quoted.ReplaceAllString(template.HTMLEscapeString(s), "<code>$1</code>"))
}
