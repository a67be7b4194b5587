package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the largest configuration file that is read, in bytes.
const maxFile = 1 << 20

// Sources are where secrets written env:NAME and file:PATH come from, and what
// looks at the sounds that are named.
type Sources struct {
	Env  func(name string) (value string, ok bool) // nil: the process's environment
	File func(path string) ([]byte, error)         // nil: the disk
	// Sound returns why a sound file cannot be played; nil: none is looked at.
	Sound func(path string) error

	blind bool // files of TLS are not looked at
}

// Load reads and validates a configuration file. Mistakes in it come back as
// Errors, all at once; any other error says that the file could not be read.
func Load(path string, src Sources) (*Config, error) {
	data, err := readLimited(path, maxFile+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read configuration: %w; configs/perezvon.example.yaml is one to start from", err)
	case err != nil:
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data, src)
}

// LoadWithoutSecrets is Load for those who may not or need not see secrets:
// none is looked up, something else stands in their place.
func LoadWithoutSecrets(path string) (*Config, error) { return Load(path, withoutSecrets()) }

// LoadWithSomeSecrets is Load for those who may see some of the secrets: what
// stands in place of the others says so, see Secret.Hidden.
func LoadWithSomeSecrets(path string) (*Config, error) {
	src := withoutSecrets()
	hidden := src
	src.Env = func(name string) (string, bool) {
		if v, ok := os.LookupEnv(name); ok && v != "" {
			return v, true
		}
		return hidden.Env(name)
	}
	src.File = func(path string) ([]byte, error) {
		if data, err := readLimited(path, maxSecret+1); err == nil && len(data) > 0 {
			return data, nil
		}
		return hidden.File(path)
	}
	return Load(path, src)
}

// standIn begins what stands in place of a secret that is not looked up.
const standIn = "stand-in for "

func withoutSecrets() Sources {
	return Sources{
		Env:  func(name string) (string, bool) { return standIn + name, true },
		File: func(path string) ([]byte, error) { return []byte(standIn + path), nil },

		blind: true,
	}
}

// Address returns where the API of a file listens, whatever else is wrong with
// the file; false where the file does not say, or cannot be read.
func Address(path string) (at netip.AddrPort, ok bool) {
	data, err := readLimited(path, maxFile+1)
	if err != nil {
		return netip.AddrPort{}, false
	}
	d := newDecoder(path, withoutSecrets())
	root, wrong := d.document(data)
	if wrong != nil || root == nil {
		return netip.AddrPort{}, false
	}
	cfg := Default()
	d.decode(root, cfg)
	const key = "http.listen"
	return cfg.HTTP.Listen, d.has(key) && d.ok(key)
}

// Parse validates a configuration. The name is the file's, for error messages
// and because file: secrets are relative to its folder. Every error is of type
// Errors. An empty configuration is valid and gives Default.
func Parse(name string, data []byte, src Sources) (*Config, error) {
	d := newDecoder(name, src)
	root, err := d.document(data)
	if err != nil {
		return nil, Errors{*err}
	}
	cfg := Default()
	d.places[""] = place{1, 1}
	if root != nil {
		d.decode(root, cfg)
	}
	d.fill(cfg)
	check(d, cfg)
	if len(d.errs) > 0 {
		d.errs.sort()
		return nil, d.errs
	}
	return cfg, nil
}

func newDecoder(name string, src Sources) *decoder {
	if src.Env == nil {
		src.Env = os.LookupEnv
	}
	if src.File == nil {
		src.File = func(path string) ([]byte, error) { return readLimited(path, maxCertificates) }
	}
	return &decoder{
		file: name, dir: filepath.Dir(name), src: src,
		places: make(map[string]place), failed: make(map[string]bool),
	}
}

// document returns the top node of the file, nil where there is none.
func (d *decoder) document(data []byte) (*yaml.Node, *Error) {
	if len(data) > maxFile {
		return nil, d.whole(place{1, 1}, "the file is larger than %d KiB: is it a configuration?", maxFile>>10)
	}
	if !utf8.Valid(data) {
		return nil, d.whole(firstInvalid(data), "the file is not UTF-8 text: save it with the encoding UTF-8")
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, d.syntax(data, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, d.whole(place{max(more.Line, 1), max(more.Column, 1)}, "a second document begins here: the configuration is one document, without ---")
	case !errors.Is(err, io.EOF):
		return nil, d.syntax(data, err)
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return nil, nil
	}
	return doc.Content[0], nil
}

// whole is a mistake that makes the file unreadable.
func (d *decoder) whole(at place, format string, args ...any) *Error {
	return &Error{File: d.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}
}

// syntax puts the parser's words into ours where they would puzzle.
func (d *decoder) syntax(data []byte, err error) *Error {
	at, msg := place{1, 1}, err.Error()
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		msg = le.Message
		if le.Mark.Line > 0 {
			at = place{le.Mark.Line, max(le.Mark.Column, 1)}
		}
		if le.ContextMsg != "" && le.ContextMark.Line > 0 && le.ContextMark.Line != le.Mark.Line {
			msg += fmt.Sprintf(" (%s that begins in line %d)", le.ContextMsg, le.ContextMark.Line)
		}
	}
	if line := lineOf(data, at.line); strings.Contains(line[:len(line)-len(strings.TrimLeft(line, " \t"))], "\t") {
		return d.whole(place{at.line, strings.Index(line, "\t") + 1}, "a tab in the indentation: YAML is indented with spaces")
	}
	switch {
	case strings.Contains(msg, "mapping values are not allowed"):
		msg = `a second ": " in one value: put the value in quotes, or the key on a line of its own`
	case strings.Contains(msg, "cannot start any token"):
		msg = "a value cannot begin with this character: put it in quotes"
	case strings.Contains(msg, "control characters"):
		at = firstControl(data)
		msg = "a control character, which text never contains"
	}
	return d.whole(at, "not valid YAML: %s", msg)
}

func lineOf(data []byte, number int) string {
	for line := range bytes.Lines(data) {
		if number--; number == 0 {
			return strings.TrimRight(string(line), "\r\n")
		}
	}
	return ""
}

// firstInvalid returns the place of the first bytes that are not UTF-8.
func firstInvalid(data []byte) place {
	at := place{1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		at = at.after(r)
		data = data[size:]
	}
	return at
}

func firstControl(data []byte) place {
	at := place{1, 1}
	for _, r := range string(data) {
		if isControl(r) && r != '\n' && r != '\r' && r != '\t' {
			break
		}
		at = at.after(r)
	}
	return at
}

func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, most))
}
