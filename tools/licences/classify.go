package main

import "strings"

// mark is a licence and the phrases that give it away, in lower case with
// single spaces.
type mark struct {
	name    string
	phrases []string
}

// classify says which allowed licences a text holds, and which other one. It may
// hold several: some modules come under Apache-2.0 with files under MIT.
func classify(text string) (allowed []string, refused string) {
	allowedMarks := []mark{
		{"Apache-2.0", []string{"apache license", "version 2.0"}},
		{"MIT", []string{"permission is hereby granted, free of charge", "the software is provided \"as is\""}},
		{"BSD", []string{"redistribution and use in source and binary forms", "this list of conditions and the following disclaimer"}},
		{"ISC", []string{"permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}},
	}
	refusedMarks := []mark{
		{"MPL", []string{"mozilla public license"}}, // before the GPLs, which its text names
		{"EPL", []string{"eclipse public license"}},
		{"CDDL", []string{"common development and distribution license"}},
		{"AGPL", []string{"gnu affero general public license"}},
		{"LGPL", []string{"gnu lesser general public license"}},
		{"GPL", []string{"gnu general public license"}},
		{"BUSL", []string{"business source license"}},
		{"SSPL", []string{"server side public license"}},
		{"BSD with the advertising clause", []string{"all advertising materials mentioning features"}},
		{"under the Commons Clause", []string{"commons clause"}},
	}
	text = strings.Join(strings.Fields(strings.ToLower(straighten(text))), " ")
	if others := matching(text, refusedMarks); len(others) > 0 {
		refused = others[0]
	}
	return matching(text, allowedMarks), refused
}

// straighten undoes typographic quotes and the comment signs and stars that
// some texts are set with.
func straighten(text string) string {
	return strings.NewReplacer("“", `"`, "”", `"`, "``", `"`, "''", `"`, "*", " ", "\n#", "\n", "\n//", "\n").Replace(text)
}

func matching(text string, marks []mark) []string {
	var names []string
	for _, m := range marks {
		all := true
		for _, p := range m.phrases {
			all = all && strings.Contains(text, p)
		}
		if all {
			names = append(names, m.name)
		}
	}
	return names
}
