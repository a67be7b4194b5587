package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxSecret is the largest secret that is read from a file, in bytes.
const maxSecret = 64 << 10

// secret resolves env:NAME and file:PATH; anything else is the secret itself.
// No error shows a value.
func (d *decoder) secret(text string) (Secret, error) {
	var value string
	switch kind, rest, _ := strings.Cut(text, ":"); kind {
	case "env":
		v, ok := d.src.Env(rest)
		if !ok {
			return Secret{}, fmt.Errorf("environment variable %s is not set; it is the server's environment that counts, which only a restart changes: file:PATH is read anew by a reload", show(rest))
		}
		if v == "" {
			return Secret{}, fmt.Errorf("environment variable %s is empty", show(rest))
		}
		value = v
	case "file":
		v, err := d.secretFile(rest)
		if err != nil {
			return Secret{}, err
		}
		value = v
	default:
		value = text
	}
	if value == "" {
		return Secret{}, errors.New("must not be empty")
	}
	if strings.ContainsFunc(value, isControl) || !utf8.ValidString(value) {
		return Secret{}, errors.New("the secret contains a line break or another character that is not text")
	}
	return NewSecret(value), nil
}

// secretFile reads a file whose path is relative to the configuration's
// folder. One line break at its end does not count: editors put it there.
func (d *decoder) secretFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("file: needs a path, such as file:secrets/trunk")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	data, err := d.src.File(path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return "", fmt.Errorf("secret file %s: %w", path, err)
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("secret file %s is larger than %d KiB", path, maxSecret>>10)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return value, nil
}
