package configs

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// docRow is a line of a table whose first cell is a key.
var docRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*$")

// docRows returns the rows of docs/configuration.md by the whole path of the
// key: the sections are named after the top keys.
func docRows(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for part := range strings.SplitSeq(string(data), "\n## ") {
		section, _, _ := strings.Cut(part, "\n")
		if strings.ToLower(section) != section {
			section = "" // a heading in words: keys of the file's top
		}
		for _, m := range docRow.FindAllStringSubmatch(part, -1) {
			rows[join(section, strings.ReplaceAll(m[1], "[]", ""))] = m[0]
		}
	}
	return rows
}

func TestEveryKeyIsDocumentedWithItsValues(t *testing.T) {
	rows := docRows(t)
	tags := map[string]reflect.StructTag{}
	gatherTags(reflect.TypeFor[Config](), "", tags)
	for _, key := range append(allKeys(reflect.TypeFor[Config](), ""), "lines.otherwise") {
		if strings.HasPrefix(key, "lines.callback.") || strings.HasPrefix(key, "lines.otherwise.") {
			continue
		}
		row, ok := rows[key]
		if !ok {
			t.Errorf("docs/configuration.md has no row for %s", key)
			continue
		}
		if tags[key].Get("need") != "" && strings.Contains(key, ".") && !strings.Contains(row, "*required*") {
			t.Errorf("%s is not called required: %s", key, row)
		}
		if low, high, ok := strings.Cut(tags[key].Get("range"), ".."); ok && !strings.Contains(row, low+" to "+high) {
			t.Errorf("%s: no %s to %s in %s", key, low, high, row)
		}
		for word := range strings.SplitSeq(tags[key].Get("oneof"), ",") {
			if word != "" && !strings.Contains(row, "`"+word+"`") {
				t.Errorf("%s: no %s in %s", key, word, row)
			}
		}
	}
}

func gatherTags(typ reflect.Type, path string, tags map[string]reflect.StructTag) {
	if _, leaf := leaves[typ]; leaf {
		return
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		gatherTags(typ.Elem(), path, tags)
	case reflect.Struct:
		for f := range typ.Fields() {
			at := join(path, f.Tag.Get("yaml"))
			tags[at] = f.Tag
			gatherTags(f.Type, at, tags)
		}
	}
}
