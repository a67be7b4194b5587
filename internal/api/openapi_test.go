package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"go.yaml.in/yaml/v4"
)

func fetchDoc(t *testing.T, f *fixture, path string) map[string]any {
	t.Helper()
	a := f.do(t, "GET", path, "")
	if a.status != 200 {
		t.Fatalf("%s: status %d", path, a.status)
	}
	return decode[map[string]any](t, a)
}

// eachOperation visits the operations of a document.
func eachOperation(doc map[string]any, visit func(path, method string, op map[string]any)) {
	for path, item := range at(doc, "paths") {
		for method, op := range item.(map[string]any) {
			visit(path, method, op.(map[string]any))
		}
	}
}

// isFile reports whether a body is neither JSON nor text.
func isFile(kind string) bool { return kind == wavType || kind == pcapType }

// at goes down into a document; what is not there is empty.
func at(node map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		node, _ = node[k].(map[string]any)
	}
	return node
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func TestEveryOperationIsDocumentedInFull(t *testing.T) {
	f := newFixture(t, nil)
	doc := fetchDoc(t, f, "/openapi.json")
	ids := map[string]bool{}
	eachOperation(doc, func(path, method string, op map[string]any) {
		where := method + " " + path
		for _, key := range []string{"operationId", "summary", "description", "tags"} {
			if fmt.Sprint(op[key]) == "" || op[key] == nil {
				t.Errorf("%s has no %s", where, key)
			}
		}
		if id := fmt.Sprint(op["operationId"]); ids[id] {
			t.Errorf("two operations are %s", id)
		} else {
			ids[id] = true
		}
		for status, r := range at(op, "responses") {
			resp := r.(map[string]any)
			if resp["description"] == "" {
				t.Errorf("%s: %s has no description", where, status)
			}
			for kind := range at(resp, "content") {
				m := at(resp, "content", kind)
				if !isFile(kind) && (m["schema"] == nil || (m["example"] == nil && m["examples"] == nil)) {
					t.Errorf("%s: %s %s has no schema or no example", where, status, kind)
				}
			}
		}
		if body := at(op, "requestBody", "content", "application/json"); op["requestBody"] != nil && body["example"] == nil {
			t.Errorf("%s: the body has no example", where)
		}
		if open := path == "/healthz" || path == "/readyz"; open != (op["security"] == nil) {
			t.Errorf("%s: security %v", where, op["security"])
		}
		if method == "post" && !slices.ContainsFunc(list(op["parameters"]), func(p any) bool { return p.(map[string]any)["name"] == "Idempotency-Key" }) {
			t.Errorf("%s takes no Idempotency-Key", where)
		}
	})
	if len(ids) != 27 {
		t.Errorf("%d operations: %q", len(ids), slices.Sorted(maps.Keys(ids)))
	}
}

// TestDocumentedProblemsExist checks that codes and statuses are those of the
// one list of them.
func TestDocumentedProblemsExist(t *testing.T) {
	doc := fetchDoc(t, newFixture(t, nil), "/openapi.json")
	eachOperation(doc, func(path, method string, op map[string]any) {
		for status := range at(op, "responses") {
			for code := range at(op, "responses", status, "content", problemType, "examples") {
				if !slices.ContainsFunc(codes(), func(c codeInfo) bool { return c.Code == code && fmt.Sprint(c.Status) == status }) {
					t.Errorf("%s %s: %s %s", method, path, status, code)
				}
			}
		}
	})
	missing := at(doc, "paths", "/api/v1/calls/{id}/recording", "get", "responses", "404", "content", problemType, "examples")
	if missing["recording_not_found"] == nil || missing["call_not_found"] == nil {
		t.Errorf("a missing recording is documented as %v", missing)
	}
}

// TestEveryCodeIsListed reads the sources for codes, and the page about the
// API for what it says of them.
func TestEveryCodeIsListed(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^\tCode\w+\s+= "(\w+)"`)
	var found []string
	for _, dir := range []string{".", "../call"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllSubmatch(src, -1) {
				found = append(found, string(m[1]))
			}
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %q are declared", found)
	}
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range codes() {
		known[c.Code] = true
		row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| [0-9, ]*%d[0-9, ]* \\|.*`%s`", c.Status, c.Code))
		if !row.Match(page) {
			t.Errorf("docs/api.md does not list %d %s", c.Status, c.Code)
		}
	}
	for _, code := range found {
		if !known[code] {
			t.Errorf("%s is not listed", code)
		}
	}
}

// TestEveryWordOfTheStoreCanBeAskedFor reads the store's source for types of
// events, kinds, states and results.
func TestEveryWordOfTheStoreCanBeAskedFor(t *testing.T) {
	src, err := os.ReadFile("../store/store.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, known := range map[string][]string{
		`Event\w+`: eventTypes(), `Kind\w+\s+Kind`: kinds(), `State\w+\s+State`: states(), `Result\w+\s+Result`: results(),
	} {
		declared := regexp.MustCompile(`(?m)^\t`+name+`\s+= "([\w.]+)"`).FindAllSubmatch(src, -1)
		for _, m := range declared {
			if !slices.Contains(known, string(m[1])) {
				t.Errorf("%s cannot be asked for", m[1])
			}
		}
		if len(declared) != len(known) {
			t.Errorf("%d of %s are declared, %d known", len(declared), name, len(known))
		}
	}
}

func TestExamplesFitTheirSchemas(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "GET", "/openapi.json", "")
	doc := decode[map[string]any](t, a)
	schemas := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	for name, s := range at(doc, "components", "schemas") {
		schemas.Map()[name] = schemaOf(t, s.(map[string]any))
	}
	check := func(where string, media map[string]any) {
		examples := map[string]any{"example": map[string]any{"value": media["example"]}}
		if media["example"] == nil {
			examples = at(media, "examples")
		}
		for name := range examples {
			res := &huma.ValidateResult{}
			huma.Validate(schemas, schemaOf(t, at(media, "schema")), huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, at(examples, name)["value"], res)
			if len(res.Errors) > 0 {
				t.Errorf("%s: %s: %v", where, name, res.Errors)
			}
		}
	}
	count := 0
	eachOperation(doc, func(path, method string, op map[string]any) {
		for kind := range at(op, "requestBody", "content") {
			check(method+" "+path, at(op, "requestBody", "content", kind))
		}
		for status := range at(op, "responses") {
			for kind := range at(op, "responses", status, "content") {
				if m := at(op, "responses", status, "content", kind); !isFile(kind) {
					check(method+" "+path+" "+status, m)
					count++
				}
			}
		}
	})
	if count < 50 {
		t.Errorf("only %d bodies have examples", count)
	}
}

// schemaOf reads the part of a schema that says what is valid.
func schemaOf(t *testing.T, node map[string]any) *huma.Schema {
	t.Helper()
	s := &huma.Schema{Properties: map[string]*huma.Schema{}}
	s.Ref, _ = node["$ref"].(string)
	s.Format, _ = node["format"].(string)
	s.Type, _ = node["type"].(string)
	for _, typ := range list(node["type"]) {
		if typ == "null" {
			s.Nullable = true
		} else {
			s.Type, _ = typ.(string)
		}
	}
	for name, p := range at(node, "properties") {
		s.Properties[name] = schemaOf(t, p.(map[string]any))
	}
	for _, name := range list(node["required"]) {
		s.Required = append(s.Required, name.(string))
	}
	if items := at(node, "items"); items != nil {
		s.Items = schemaOf(t, items)
	}
	s.Enum = list(node["enum"])
	switch extra := node["additionalProperties"].(type) {
	case bool:
		s.AdditionalProperties = extra
	case map[string]any:
		s.AdditionalProperties = schemaOf(t, extra)
	}
	s.PrecomputeMessages()
	return s
}

// words of schemas that each version knows.
var (
	common  = []string{"$ref", "type", "format", "description", "properties", "required", "items", "enum", "default", "minimum", "maximum", "additionalProperties"}
	words31 = append([]string{"examples"}, common...)
	words30 = append([]string{"example", "nullable", "allOf"}, common...)
)

// structure checks a document against what its version of OpenAPI demands.
type structure struct {
	t     *testing.T
	doc   map[string]any
	words []string
	used  map[string]bool
}

func (s *structure) schema(where string, node map[string]any) {
	for word := range node {
		if !slices.Contains(s.words, word) {
			s.t.Errorf("%s: schemas have no %q", where, word)
		}
	}
	if ref, ok := node["$ref"].(string); ok {
		s.used[ref] = true
		if at(s.doc, "components", "schemas", strings.TrimPrefix(ref, schemaPrefix)) == nil {
			s.t.Errorf("%s: %s leads nowhere", where, ref)
		}
		if len(node) > 1 && slices.Contains(s.words, "nullable") {
			s.t.Errorf("%s: a reference has company", where)
		}
	}
	switch typ := node["type"].(type) {
	case []any:
		if slices.Contains(s.words, "nullable") {
			s.t.Errorf("%s: several types", where)
		}
	case string:
		if !slices.Contains([]string{"object", "array", "string", "number", "integer", "boolean"}, typ) {
			s.t.Errorf("%s: type %q", where, typ)
		}
		if typ == "array" && node["items"] == nil {
			s.t.Errorf("%s: a list of what?", where)
		}
	}
	if _, ok := node["nullable"]; ok && node["type"] == nil {
		s.t.Errorf("%s: nullable without a type", where)
	}
	for name := range at(node, "properties") {
		s.schema(where+"."+name, at(node, "properties", name))
	}
	for _, required := range list(node["required"]) {
		if at(node, "properties", required.(string)) == nil {
			s.t.Errorf("%s: %s is required but not described", where, required)
		}
	}
	for _, one := range list(node["allOf"]) {
		s.schema(where, one.(map[string]any))
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if sub := at(node, key); sub != nil {
			s.schema(where+"."+key, sub)
		}
	}
}

func (s *structure) content(where string, content map[string]any) {
	for kind := range content {
		m := at(content, kind)
		if isFile(kind) && slices.Contains(s.words, "nullable") && at(m, "schema")["format"] != "binary" {
			s.t.Errorf("%s: a file is not binary", where)
		}
		s.schema(where, at(m, "schema"))
		if m["example"] != nil && m["examples"] != nil {
			s.t.Errorf("%s: example and examples", where)
		}
	}
}

func (s *structure) operation(path, method string, op map[string]any) {
	where := method + " " + path
	var inPath []string
	for _, p := range list(op["parameters"]) {
		param := p.(map[string]any)
		s.schema(where, at(param, "schema"))
		if !slices.Contains([]any{"path", "query", "header"}, param["in"]) || param["description"] == "" {
			s.t.Errorf("%s: parameter %v", where, param)
		}
		if param["in"] == "path" {
			inPath = append(inPath, "{"+param["name"].(string)+"}")
			if param["required"] != true {
				s.t.Errorf("%s: a part of the path is optional", where)
			}
		}
	}
	if want := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
		s.t.Errorf("%s: parameters %q", where, inPath)
	}
	s.content(where, at(op, "requestBody", "content"))
	if len(at(op, "responses")) == 0 {
		s.t.Errorf("%s: no responses", where)
	}
	for status := range at(op, "responses") {
		r := at(op, "responses", status)
		if r["description"] == nil {
			s.t.Errorf("%s: %s has no description", where, status)
		}
		for name := range at(r, "headers") {
			s.schema(where, at(r, "headers", name, "schema"))
		}
		s.content(where+" "+status, at(r, "content"))
	}
	for _, security := range list(op["security"]) {
		for name := range security.(map[string]any) {
			if at(s.doc, "components", "securitySchemes", name) == nil {
				s.t.Errorf("%s: no such security: %s", where, name)
			}
		}
	}
}

func TestDocumentsAreSoundOpenAPI(t *testing.T) {
	f := newFixture(t, nil)
	for path, want := range map[string]struct {
		version string
		words   []string
	}{
		"/openapi.json":     {"3.1.0", words31},
		"/openapi-3.0.json": {"3.0.3", words30},
	} {
		t.Run(path, func(t *testing.T) {
			s := &structure{t: t, doc: fetchDoc(t, f, path), words: want.words, used: map[string]bool{}}
			if s.doc["openapi"] != want.version || at(s.doc, "info")["title"] != "Perezvon" || at(s.doc, "info")["version"] != "1.2.3" {
				t.Errorf("openapi %v, info %v", s.doc["openapi"], s.doc["info"])
			}
			for name := range at(s.doc, "components", "schemas") {
				s.schema(name, at(s.doc, "components", "schemas", name))
			}
			eachOperation(s.doc, s.operation)
			for name := range at(s.doc, "components", "schemas") {
				if !s.used[schemaPrefix+name] {
					t.Errorf("nothing uses %s", name)
				}
			}
			if raw, _ := json.Marshal(s.doc); strings.Contains(string(raw), "://") {
				t.Error("the document refers to another host")
			}
		})
	}
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "GET", "/openapi.yaml", "")
	var fromYAML any
	if err := yaml.Unmarshal([]byte(a.body), &fromYAML); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(fetchDoc(t, f, "/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("they differ")
	}
	if ct := a.header.Get("Content-Type"); ct != "application/openapi+yaml" {
		t.Errorf("content type %q", ct)
	}
}
