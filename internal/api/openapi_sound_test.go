package api

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// words of schemas that each version knows.
var (
	common  = []string{"$ref", "type", "format", "contentMediaType", "description", "properties", "required", "items", "enum", "default", "minimum", "maximum", "additionalProperties"}
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
