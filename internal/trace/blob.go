package trace

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// version is the first byte of the stored form. Behind it comes, compressed, a
// part as a line of JSON, and then the data of its messages one after the
// other.
const version = 1

// maxPlain bounds what is decompressed: more than a part can be.
const maxPlain = 4 << 20

// part is a Trace as it is stored, with what tells it from other parts.
type part struct {
	ID int64 `json:"id"` // nanoseconds since 1970 when it was taken
	Trace
}

// packer makes the stored form. Its compressor is large and used again.
type packer struct {
	out  bytes.Buffer
	zip  *flate.Writer
	line bytes.Buffer

	plain []byte // messages without their secrets
}

func newPacker() *packer {
	p := &packer{}
	p.zip, _ = flate.NewWriter(&p.out, flate.BestSpeed) // that level there is
	return p
}

// pack returns the stored form of a part. It is valid until the next one.
func (p *packer) pack(t *part) ([]byte, error) {
	p.out.Reset()
	p.line.Reset()
	p.out.WriteByte(version)
	p.zip.Reset(&p.out)
	for i := range t.Messages {
		t.Messages[i].Length = len(t.Messages[i].Data)
	}
	if err := json.NewEncoder(&p.line).Encode(t); err != nil {
		return nil, fmt.Errorf("pack trace: %w", err)
	}
	_, err := p.zip.Write(p.line.Bytes())
	for i := range t.Messages {
		if err == nil {
			_, err = p.zip.Write(t.Messages[i].Data)
		}
	}
	if err = errors.Join(err, p.zip.Close()); err != nil {
		return nil, fmt.Errorf("pack trace: %w", err)
	}
	return p.out.Bytes(), nil
}

// unpack reads the stored form of a part.
func unpack(data []byte) (part, error) {
	var t part
	if len(data) == 0 || data[0] != version {
		return t, errors.New("unpack trace: another version wrote it")
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[1:])), maxPlain))
	if err != nil {
		return t, fmt.Errorf("unpack trace: %w", err)
	}
	head, rest, _ := bytes.Cut(plain, []byte("\n"))
	if err := json.Unmarshal(head, &t); err != nil {
		return t, fmt.Errorf("unpack trace: %w", err)
	}
	for i := range t.Messages {
		m := &t.Messages[i]
		if m.Length < 0 || m.Length > len(rest) {
			return t, errors.New("unpack trace: it is not whole")
		}
		m.Data, rest = rest[:m.Length:m.Length], rest[m.Length:]
	}
	return t, nil
}
