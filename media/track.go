package media

import (
	"bytes"
	"os"
	"time"

	"perezvon/media/g711"
	"perezvon/media/wav"
)

// track lays frames onto the time line of a recording. A window of the line's
// end stays in memory, since the two channels do not arrive in step.
type track struct {
	file *os.File
	w    *wav.Writer
	err  error // the first failure; nothing is written after it

	started bool
	zero    time.Duration // the engine's clock at position 0
	sides   [2]anchor
	buf     []byte // window of both channels, left and right in turn
	base    int64  // position of the window's first sample
	end     int64  // position after the last sample placed
}

// anchor ties a channel's timestamps to the time line.
type anchor struct {
	set bool
	ts  uint32
	pos int64
}

// place puts a frame where it belongs.
func (t *track) place(f *frame) {
	if !t.started {
		t.started, t.zero = true, f.at
		t.buf = bytes.Repeat([]byte{g711.ALaw.Silence()}, 2*window)
	}
	pos := t.position(f)
	data := f.data[:f.n]
	if late := t.base - pos; late > 0 {
		if late >= int64(len(data)) {
			return
		}
		data, pos = data[late:], t.base
	}
	if over := pos + int64(len(data)) - (t.base + window); over > 0 {
		t.flush(pos + int64(len(data)) - windowLag)
	}
	at := 2*int(pos-t.base) + int(f.channel)
	for _, v := range data {
		if f.law == g711.ULaw {
			v = g711.UToA()[v]
		}
		t.buf[at] = v
		at += 2
	}
	t.end = max(t.end, pos+int64(len(data)))
}

// position follows the timestamps as long as they agree with the clock.
func (t *track) position(f *frame) int64 {
	clock := int64((f.at - t.zero) * sampleRate / time.Second)
	a := &t.sides[f.channel]
	if a.set {
		pos := a.pos + int64(int32(f.ts-a.ts))
		if off := pos - clock; off <= drift && off >= -drift {
			if f.ts-a.ts > 1<<30 { // long before the difference wraps
				a.ts, a.pos = f.ts, pos
			}
			return pos
		}
	}
	*a = anchor{set: true, ts: f.ts, pos: clock}
	return clock
}

// settle writes what no channel will change any more.
func (t *track) settle() {
	if t.end-windowLag > t.base {
		t.flush(t.end - windowLag)
	}
}

// finish writes everything.
func (t *track) finish() {
	t.flush(t.end)
	t.buf = nil
}

// flush writes the time line up to position to, with silence where nobody
// spoke.
func (t *track) flush(to int64) {
	for t.base < to {
		n := int(min(to-t.base, window))
		if t.err == nil {
			_, t.err = t.w.Write(t.buf[:2*n])
		}
		rest := copy(t.buf, t.buf[2*n:])
		for i := rest; i < len(t.buf); i++ {
			t.buf[i] = g711.ALaw.Silence()
		}
		t.base += int64(n)
	}
}
