package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		if body := at(op, "requestBody", "content", "application/json"); op["requestBody"] != nil && body["example"] == nil && op["operationId"] != "upload-sound" {
			t.Errorf("%s: the body has no example", where)
		}
		if open := path == "/healthz" || path == "/readyz"; open != (op["security"] == nil) {
			t.Errorf("%s: security %v", where, op["security"])
		}
		if method == "post" && !slices.ContainsFunc(list(op["parameters"]), func(p any) bool { return p.(map[string]any)["name"] == "Idempotency-Key" }) {
			t.Errorf("%s takes no Idempotency-Key", where)
		}
	})
	if len(ids) != 31 {
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
