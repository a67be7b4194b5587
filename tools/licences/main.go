// Command licences checks the licences of everything that is linked into a
// program: MIT, BSD, ISC and Apache-2.0 pass, anything else is refused by the
// name of its module.
//
//	go -C tools run ./licences [-v] DIR PACKAGE
//
// DIR is the root of the module to look at, PACKAGE the program in it. Only
// modules that the program links are looked at: what serves tests and tools is
// never shipped.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	verbose := flag.Bool("v", false, "name every module with its licences")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: licences [-v] DIR PACKAGE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout, flag.Arg(0), flag.Arg(1), *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// run writes what it found to w and returns an error when a linked module has
// a licence that is not allowed, or none that can be recognised.
func run(ctx context.Context, w io.Writer, dir, program string, verbose bool) error {
	linked, err := linkedPackages(ctx, dir, program)
	if err != nil {
		return err
	}
	found, problems, err := inspect(linked)
	if err != nil {
		return err
	}
	if verbose {
		for _, name := range slices.Sorted(maps.Keys(found)) {
			fmt.Fprintf(w, "%-50s %s\n", name, strings.Join(found[name], ", "))
		}
	}
	if len(problems) > 0 {
		return errors.New("not allowed in a program under Apache-2.0:\n  " + strings.Join(problems, "\n  "))
	}
	fmt.Fprintf(w, "licences: %d linked modules, all of them MIT, BSD, ISC or Apache-2.0\n", len(found))
	return nil
}

// inspect classifies the modules of the packages: what it recognised by module,
// and one sentence for each module that must not be linked.
func inspect(linked []pkg) (found map[string][]string, problems []string, err error) {
	texts := map[string]map[string]bool{} // licence files by module
	for _, p := range linked {
		name := p.Module.Path + " " + p.Module.Version
		if texts[name] == nil {
			texts[name] = map[string]bool{}
		}
		files, err := licenceFiles(p.Dir, p.Module.Dir)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range files {
			texts[name][f] = true
		}
	}
	found = map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		kinds, problem, err := judge(slices.Sorted(maps.Keys(texts[name])))
		if err != nil {
			return nil, nil, err
		}
		found[name] = kinds
		if problem != "" {
			problems = append(problems, name+": "+problem)
		}
	}
	return found, problems, nil
}

// judge reads the licence files of one module.
func judge(files []string) (kinds []string, problem string, err error) {
	if len(files) == 0 {
		return nil, "has no licence file", nil
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, "", fmt.Errorf("read a licence: %w", err)
		}
		allowed, refused := classify(string(text))
		kinds = append(kinds, allowed...)
		switch {
		case refused != "":
			problem = filepath.Base(f) + " is " + refused
		case len(allowed) == 0:
			problem = filepath.Base(f) + " is no licence that this check knows; read it: " + f
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), problem, nil
}

// pkg is what `go list -json` says of one linked package.
type pkg struct {
	Dir    string
	Module *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linkedPackages lists the packages of other modules that end up in program.
func linkedPackages(ctx context.Context, dir, program string) ([]pkg, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", program)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", program, err)
	}
	var linked []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return linked, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		if p.Module != nil && !p.Module.Main {
			linked = append(linked, p)
		}
	}
}

// licenceFiles finds the licence files that cover the package in dir: those
// beside it and in every folder above it, up to the root of its module.
func licenceFiles(dir, root string) ([]string, error) {
	var files []string
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("look for licences: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() && isLicence(e.Name()) {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
		if dir == root || len(dir) <= len(root) {
			return files, nil
		}
		dir = filepath.Dir(dir)
	}
}

// isLicence tells a licence from the notices that stand beside some: a list of
// third parties speaks also of what is not linked.
func isLicence(name string) bool {
	switch strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name))) {
	case "license", "licence", "copying", "unlicense":
		return true
	}
	return false
}
