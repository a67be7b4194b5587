package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	mit = `Permission is hereby granted, free of charge, to any person obtaining a copy
	of this software … THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND`
	bsd = `Redistribution and use in source and binary
	forms, with or without modification, are permitted provided that …
	  * Redistributions of source code must retain the above copyright notice,
	    this list of conditions and the following disclaimer.`
	isc = `Permission to use, copy, modify, and/or distribute this software for any
	purpose with or without fee is hereby granted`
)

func TestClassify(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		allowed    []string
		refused    string
	}{
		{"our own", string(apache), []string{"Apache-2.0"}, ""},
		{"mit", mit, []string{"MIT"}, ""},
		{"bsd", bsd, []string{"BSD"}, ""},
		{"isc", isc, []string{"ISC"}, ""},
		{"two at once", string(apache) + mit, []string{"Apache-2.0", "MIT"}, ""},
		{"mozilla", "Mozilla Public License Version 2.0, or the GNU General Public License", nil, "MPL"},
		{"dual with gpl", mit + "or the GNU General Public License", []string{"MIT"}, "GPL"},
		{"advertising", bsd + "All advertising materials mentioning features or use", []string{"BSD"}, "BSD with the advertising clause"},
		{"unknown", "Do what you like with it.", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allowed, refused := classify(tt.text)
			if !slices.Equal(allowed, tt.allowed) || refused != tt.refused {
				t.Errorf("allowed %q, refused %q; want %q and %q", allowed, refused, tt.allowed, tt.refused)
			}
		})
	}
}

func TestRefusedModuleIsNamed(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"copyleft", "LICENSE", "GNU Lesser General Public License", "LGPL"},
		{"unknown text", "LICENCE.md", "all rights reserved", "no licence that this check knows"},
		{"only a notice", "LICENSE-3RD-PARTY.md", mit, "has no licence file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "sub")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, problems, err := inspect([]pkg{testPackage("example.com/mod", "v1.2.3", root, dir)})
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "example.com/mod v1.2.3") || !strings.Contains(problems[0], tt.want) {
				t.Errorf("problems %q, want one that names the module and says %q", problems, tt.want)
			}
		})
	}
}

func TestLicenceBesideThePackageCountsToo(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "third", "party")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(root, "LICENSE"):          mit,
		filepath.Join(root, "third", "COPYING"): "GNU General Public License",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, problems, err := inspect([]pkg{testPackage("example.com/mod", "v1.0.0", root, dir)})
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0], "COPYING is GPL") {
		t.Errorf("problems %q, want the copied folder's GPL", problems)
	}
}

func testPackage(module, version, root, dir string) pkg {
	p := pkg{Dir: dir}
	p.Module = &struct {
		Path, Version, Dir string
		Main               bool
	}{Path: module, Version: version, Dir: root}
	return p
}
