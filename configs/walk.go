package configs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// place is a position in the file, both from 1.
type place struct{ line, column int }

func (p place) after(r rune) place {
	if r == '\n' {
		return place{p.line + 1, 1}
	}
	return place{p.line, p.column + 1}
}

func placeOf(n *yaml.Node) place { return place{max(n.Line, 1), max(n.Column, 1)} }

// decoder fills a Config from YAML nodes and collects what is wrong with them.
// It remembers where every value stands, so that checks made later can point
// at it.
type decoder struct {
	file, dir string
	src       Sources
	errs      Errors
	places    map[string]place // by path, of every value that is in the file
	failed    map[string]bool  // paths with a mistake
}

func (d *decoder) failAt(at place, path, format string, args ...any) {
	d.failed[path] = true
	d.errs = append(d.errs, Error{
		File: d.file, Line: at.line, Column: at.column, Path: path,
		Message: fmt.Sprintf(format, args...),
	})
}

// fail reports a mistake at a path, once for each path. A path that is not in
// the file is reported where the nearest one around it stands.
func (d *decoder) fail(path, format string, args ...any) {
	if d.failed[path] {
		return
	}
	d.failAt(d.find(path), path, format, args...)
}

func (d *decoder) find(path string) place {
	for {
		if at, ok := d.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// has reports whether the file gives a value at the path.
func (d *decoder) has(path string) bool { _, ok := d.places[path]; return ok }

// ok reports whether a value came through without a mistake, or is not there.
func (d *decoder) ok(path string) bool { return !d.failed[path] }

func (d *decoder) decode(root *yaml.Node, cfg *Config) {
	d.value(root, reflect.ValueOf(cfg).Elem(), "", "")
}

// value decodes a node into v. Tags are those of the field v belongs to.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, tags reflect.StructTag) {
	d.places[path] = placeOf(n)
	if n.Kind == yaml.AliasNode {
		d.failAt(placeOf(n), path, "aliases are not read here: write the value out")
		return
	}
	if parse, ok := leaves[v.Type()]; ok {
		if s, ok := d.scalar(n, path, parse.example); ok {
			d.leaf(n, s, v, path, tags, parse)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, tags)
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path, tags)
	case reflect.Map:
		d.named(n, v, path, tags)
	default:
		panic("configs: no decoder for " + v.Type().String()) // a type of config.go that the tests do not cover
	}
}

// mapping decodes keys into the fields of a struct.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) && len(required(v.Type())) == 0 {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		d.failAt(placeOf(n), path, "expected keys and values%s, found %s", example(v.Type()), describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := make(map[string]bool, len(n.Content)/2)
	for key, node := range d.pairs(n, path) {
		seen[key.Value] = true
		at := join(path, key.Value)
		i, ok := fields[key.Value]
		if !ok {
			d.failAt(placeOf(key), at, "%s", unknownKey(v.Type(), key.Value))
			continue
		}
		d.value(node, v.Field(i), at, v.Type().Field(i).Tag)
	}
	for _, name := range required(v.Type()) {
		if !seen[name] && path != "" {
			d.failAt(placeOf(n), join(path, name), "key %q is missing", name)
		}
	}
}

// pairs yields the keys and values of a mapping and reports keys that are no
// words or that come twice.
func (d *decoder) pairs(n *yaml.Node, path string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		first := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch line, twice := first[key.Value]; {
			case key.Kind != yaml.ScalarNode || key.Value == "":
				d.failAt(placeOf(key), path, "expected a key, found %s", describe(key))
				continue
			case key.Value == "<<":
				d.failAt(placeOf(key), path, "merge keys are not read here: write the values out")
				continue
			case twice:
				d.failAt(placeOf(key), join(path, key.Value), "duplicate key %s, first in line %d", show(key.Value), line)
				continue
			}
			first[key.Value] = max(key.Line, 1)
			if !yield(key, value) {
				return
			}
		}
	}
}

// list decodes a sequence.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tags reflect.StructTag) {
	if isNull(n) && tags.Get("need") == "" {
		delete(d.places, path)
		return // a list whose entries are all commented out
	}
	if n.Kind != yaml.SequenceNode {
		d.failAt(placeOf(n), path, "expected a list%s, found %s", listExample(n), describe(n))
		return
	}
	if tags.Get("list") != "" && len(n.Content) == 0 {
		d.failAt(placeOf(n), path, "the list is empty; %s", emptyAdvice(tags))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, out.Index(i), fmt.Sprintf("%s[%d]", path, i), tags)
	}
	v.Set(out)
}

func emptyAdvice(tags reflect.StructTag) string {
	if tags.Get("need") != "" {
		return "it needs at least one entry"
	}
	return "leave the key out to get the default"
}

// named decodes a mapping whose keys are names.
func (d *decoder) named(n *yaml.Node, v reflect.Value, path string, tags reflect.StructTag) {
	if isNull(n) {
		delete(d.places, path)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.failAt(placeOf(n), path, "expected names, each with keys and values%s, found %s", example(v.Type().Elem()), describe(n))
		return
	}
	if tags.Get("list") != "" && len(n.Content) == 0 {
		d.failAt(placeOf(n), path, "nothing in it; %s", emptyAdvice(tags))
		return
	}
	out := reflect.MakeMap(v.Type())
	for key, node := range d.pairs(n, path) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(node, item, join(path, key.Value), "")
		out.SetMapIndex(reflect.ValueOf(key.Value), item)
	}
	v.Set(out)
}

func join(path, key string) string {
	if !word.MatchString(key) {
		key = strconv.Quote(cut(key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldsOf returns the index of every field by its key.
func fieldsOf(t reflect.Type) map[string]int {
	m := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		m[t.Field(i).Tag.Get("yaml")] = i
	}
	return m
}

// keysOf returns the keys of a struct in their order.
func keysOf(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for f := range t.Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}

// required returns the keys that may not be left out. At the top of the file
// every key has a default.
func required(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		if f.Tag.Get("need") != "" {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// unknownKey says what to do about a key that does not exist.
func unknownKey(t reflect.Type, key string) string {
	keys := keysOf(t)
	if slices.Contains(later[t], key) {
		return fmt.Sprintf("key %q is not available in this version: leave it out", key)
	}
	if near := nearest(key, keys); near != "" {
		return fmt.Sprintf("unknown key %s; did you mean %q?", show(key), near)
	}
	return fmt.Sprintf("unknown key %s; keys here: %s", show(key), strings.Join(keys, ", "))
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// describe names what stands in the file without showing it: it may be a
// secret.
func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	}
	return "a single value"
}

// example shows how keys of a struct are written in one line.
func example(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	keys := keysOf(t)
	if need := required(t); len(need) > 0 {
		keys = need
	}
	return fmt.Sprintf(" such as {%s: …}", keys[0])
}

// listExample shows a plain single value as the list it should be.
func listExample(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && word.MatchString(n.Value) {
		return fmt.Sprintf(" such as [%s]", n.Value)
	}
	return ""
}

const mostQuoted = 40

// credentials are the part of a URL that is never shown.
var credentials = regexp.MustCompile(`//[^/]*@`)

// show quotes what somebody wrote, shortened and without the credentials of a
// URL.
func show(s string) string {
	return strconv.Quote(cut(credentials.ReplaceAllString(s, "//"+stars+"@")))
}

func cut(s string) string {
	if r := []rune(s); len(r) > mostQuoted {
		return string(r[:mostQuoted]) + "…"
	}
	return s
}
