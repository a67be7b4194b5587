package configs

import (
	"reflect"
	"slices"
	"strings"
)

// live are the sections that a running server can take up anew.
var live = []string{"trunks", "lines", "extensions", "outgoing", "callback", "infocall", "limits", "calls", "events", "recordings", "drain"}

// Changes says what is different between the configuration of a running server
// and another one. Live are the parts that the server can take up, entries of
// lists by their name, such as trunks[provider]; Restart are those that need a
// new start, such as sip or http.listen.
func Changes(was, next *Config) (changed, restart []string) {
	a, b := reflect.ValueOf(*was), reflect.ValueOf(*next)
	for i := range a.NumField() {
		name := a.Type().Field(i).Tag.Get("yaml")
		switch {
		case reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
		case name == "http":
			c, r := changedHTTP(was.HTTP, next.HTTP)
			changed, restart = append(changed, c...), append(restart, r...)
		case name == "recordings" && was.Recordings.Dir != next.Recordings.Dir:
			restart = append(restart, "recordings.dir")
		case !slices.Contains(live, name):
			restart = append(restart, name)
		default:
			changed = append(changed, changedEntries(name, was, next)...)
		}
	}
	return changed, restart
}

func changedHTTP(was, next HTTP) (changed, restart []string) {
	if !reflect.DeepEqual(was.Keys, next.Keys) {
		changed = []string{"http.keys"}
	}
	if was.Listen != next.Listen {
		restart = append(restart, "http.listen")
	}
	if was.PublicURL != next.PublicURL {
		restart = append(restart, "http.public_url")
	}
	return changed, restart
}

// changedEntries names the entries of a list that are different, or the section
// where it has no names or only its order is another one.
func changedEntries(section string, was, next *Config) []string {
	var a, b map[string]any
	switch section {
	case "trunks":
		a, b = byName(was.Trunks, func(t Trunk) string { return t.Name }), byName(next.Trunks, func(t Trunk) string { return t.Name })
	case "lines":
		a, b = byName(was.Lines, func(l Line) string { return l.ID }), byName(next.Lines, func(l Line) string { return l.ID })
	case "extensions":
		number := func(e Extension) string { return e.Number }
		a, b = byName(was.Extensions, number), byName(next.Extensions, number)
	default:
		return []string{section}
	}
	var names []string
	for name, v := range a {
		if !reflect.DeepEqual(v, b[name]) {
			names = append(names, section+"["+name+"]")
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			names = append(names, section+"["+name+"]")
		}
	}
	if len(names) == 0 {
		return []string{section}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

func byName[T any](list []T, name func(T) string) map[string]any {
	m := make(map[string]any, len(list))
	for _, v := range list {
		m[name(v)] = v
	}
	return m
}
