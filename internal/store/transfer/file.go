package transfer

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"perezvon/internal/store"
)

// format is how a file of changes begins.
const format = "perezvon changes"

// head is the first line of a file of changes.
type head struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	At      time.Time `json:"at"` // when it was written
}

// line is each other line of it: a change or, in the last one, how many there
// were.
type line struct {
	store.Change
	End *int64 `json:"end,omitempty"`
}

// Write writes everything that a store holds as a file of changes: JSON, a line
// for each, compressed by gzip. now is the time.
func Write(ctx context.Context, from Source, w io.Writer, now time.Time) error {
	zip := gzip.NewWriter(w)
	enc := json.NewEncoder(zip)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(head{Format: format, Version: 1, At: now.UTC()}); err != nil {
		return err
	}
	var n int64
	err := from.Export(ctx, func(ch store.Change) error {
		n++
		return enc.Encode(ch)
	})
	if err != nil {
		return err
	}
	return errors.Join(enc.Encode(line{End: &n}), zip.Close())
}

// File is a Source: a file that Write has written.
type File struct {
	path string
}

// OpenFile looks whether the file at path is one of changes. One of something
// else is ErrNoChanges.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	return f, r.Close()
}

// ErrNoChanges says that a file was not written by Write.
var ErrNoChanges = errors.New("it is no file of changes")

// lines reads the lines of a file behind the first one.
type lines struct {
	*json.Decoder
	io.Closer
}

func (f *File) open() (*lines, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, ErrNoChanges), file.Close())
	}
	dec := json.NewDecoder(zip)
	var h head
	switch err := dec.Decode(&h); {
	case err != nil || h.Format != format:
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, ErrNoChanges), file.Close())
	case h.Version != 1:
		return nil, errors.Join(fmt.Errorf("%s was written by a newer perezvon (its version is %d)", f.path, h.Version), file.Close())
	}
	return &lines{dec, file}, nil
}

// Export yields what the file holds. One that is cut off or damaged is an error,
// if only behind the last change that can be read.
func (f *File) Export(ctx context.Context, yield func(store.Change) error) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	for n := int64(0); ; n++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		var l line
		if err := r.Decode(&l); err != nil {
			return fmt.Errorf("%s is damaged behind %d changes: %w", f.path, n, noEnd(err))
		}
		if l.End != nil {
			if err := r.Decode(&l); *l.End != n || !errors.Is(err, io.EOF) { // which has looked at the checksum, too
				return fmt.Errorf("%s is damaged: it has not the %d changes that it should", f.path, *l.End)
			}
			return nil
		}
		if err := yield(l.Change); err != nil {
			return err
		}
	}
}

// noEnd makes of the end of a file that should go on what it is.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
