package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"perezvon/media/g711"
)

// The layout of what Writer writes: RIFF header, fmt chunk with its (empty)
// extension, fact chunk, head of the data chunk.
const (
	riffAt    = 4
	factAt    = 46
	dataAt    = 54
	headerLen = 58

	channels  = 2
	frameSize = channels // one byte per sample
)

// maxDataBytes is what the 32-bit lengths can say: about 74 hours.
const maxDataBytes = unknownLength - 1 - headerLen

// ErrFull says that the file cannot grow any more.
var ErrFull = errors.New("the WAV file is full")

// Writer writes a stereo A-law file of 8 kHz. The header says "length
// unknown" until Close, so that a file a crash leaves behind can be played by
// tolerant players and mended by Repair. It is not safe for concurrent use.
type Writer struct {
	w      io.WriteSeeker
	bytes  int64 // of sound
	closed bool
}

// NewWriter writes the header to w, which stands at its beginning and stays
// the caller's to close.
func NewWriter(w io.WriteSeeker) (*Writer, error) {
	if _, err := w.Write(header(unknownLength)); err != nil {
		return nil, fmt.Errorf("write WAV header: %w", err)
	}
	return &Writer{w: w}, nil
}

// header is the file's head for so many bytes of sound, or unknownLength.
func header(dataBytes uint32) []byte {
	h := make([]byte, headerLen)
	le := binary.LittleEndian
	copy(h, "RIFF")
	copy(h[8:], "WAVEfmt ")
	le.PutUint32(h[16:], 18)
	le.PutUint16(h[20:], formatALaw)
	le.PutUint16(h[22:], channels)
	le.PutUint32(h[24:], g711.SampleRate)
	le.PutUint32(h[28:], g711.SampleRate*frameSize)
	le.PutUint16(h[32:], frameSize)
	le.PutUint16(h[34:], 8)
	copy(h[38:], "fact")
	le.PutUint32(h[42:], 4)
	copy(h[50:], "data")
	riff, fact := uint32(unknownLength), uint32(unknownLength)
	if dataBytes != unknownLength {
		riff, fact = headerLen-8+dataBytes, dataBytes/frameSize
	}
	le.PutUint32(h[riffAt:], riff)
	le.PutUint32(h[factAt:], fact)
	le.PutUint32(h[dataAt:], dataBytes)
	return h
}

// Write appends A-law samples, left and right in turn, and passes them on at
// once: callers collect, say, a second of sound first. The length must be
// even. ErrFull comes after about 74 hours.
func (w *Writer) Write(frames []byte) (int, error) {
	switch {
	case w.closed:
		return 0, fmt.Errorf("write WAV: %w", os.ErrClosed)
	case len(frames)%frameSize != 0:
		return 0, fmt.Errorf("write WAV: %d bytes are not whole stereo samples", len(frames))
	case w.bytes+int64(len(frames)) > maxDataBytes:
		return 0, ErrFull
	}
	n, err := w.w.Write(frames)
	w.bytes += int64(n)
	if err != nil {
		return n, fmt.Errorf("write WAV: %w", err)
	}
	return n, nil
}

// Duration returns the length of what has been written.
func (w *Writer) Duration() time.Duration {
	return time.Duration(w.bytes/frameSize) * (time.Second / g711.SampleRate)
}

// Size returns the length of the file in bytes, its header included.
func (w *Writer) Size() int64 { return headerLen + w.bytes }

// Close puts the true lengths into the header. It does not close what the
// Writer writes to. Further calls do nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if _, err := w.w.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("finish WAV: %w", err)
	}
	whole := w.bytes - w.bytes%frameSize // a failed write may have left half a sample
	if _, err := w.w.Write(header(uint32(whole))); err != nil {
		return fmt.Errorf("finish WAV: %w", err)
	}
	if _, err := w.w.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("finish WAV: %w", err)
	}
	return nil
}

// Repair mends the file of a Writer that was never closed: the header gets
// the lengths that the file's size tells, half a sample at the end is cut
// off. A complete file is left as it is. It returns the length of the sound;
// the error wraps ErrFormat when the file is not one of a Writer's.
func Repair(path string) (_ time.Duration, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("repair WAV: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("repair WAV: %w", err)
	}
	size := min(info.Size()-headerLen, maxDataBytes)
	head := make([]byte, headerLen)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("repair WAV: %w", err)
	}
	if size < 0 || !ours(head) {
		return 0, fmt.Errorf("repair %s: %w: no header of a recording", path, ErrFormat)
	}
	size -= size % frameSize
	want := header(uint32(size))
	if string(head) != string(want) || info.Size() != headerLen+size {
		if err := rewrite(f, want, headerLen+size); err != nil {
			return 0, fmt.Errorf("repair WAV: %w", err)
		}
	}
	return time.Duration(size/frameSize) * (time.Second / g711.SampleRate), nil
}

// ours reports whether a header is a Writer's, whatever lengths it tells.
func ours(head []byte) bool {
	blank := func(h []byte) string {
		h = append([]byte(nil), h...)
		for _, at := range []int{riffAt, factAt, dataAt} {
			clear(h[at : at+4])
		}
		return string(h)
	}
	return blank(head) == blank(header(0))
}

func rewrite(f *os.File, head []byte, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}
