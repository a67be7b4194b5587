package sounds

// mp3Hz is the pitch of mp3Tone: that of one line of the transform.
const (
	mp3Line = 25
	mp3Hz   = (mp3Line + 0.5) * 44100 / 2 / 576
)

// mp3Tone is an MP3 file (MPEG 1, layer III, 128 kbit/s, 44.1 kHz, mono) of so
// many frames of 1152 samples, in which one line of the transform sounds.
func mp3Tone(frames int) []byte {
	var file []byte
	for range frames {
		file = append(file, mp3Frame()...)
	}
	return file
}

func mp3Frame() []byte {
	const (
		size     = 144 * 128000 / 44100
		pairs    = mp3Line/2 + 1
		dataBits = mp3Line/2 + 4 // a bit for each pair of noughts, then the line and its sign
	)
	w := bits{b: []byte{0xFF, 0xFB, 0x90, 0xC0}} // sync and version, no CRC; rate; mono
	w.put(0, 9+5+4)                              // where the data begin, private bits, scale factors of their own
	for range 2 {
		w.put(dataBits, 12)
		w.put(pairs, 9)
		w.put(196, 8)   // gain
		w.put(0, 4+1)   // no scale factors, one long window
		w.put(1, 5)     // table 1 for all three regions
		w.put(1, 5)     //
		w.put(1, 5)     //
		w.put(0, 4+3+3) // regions and the rest
	}
	for range 2 {
		for range mp3Line / 2 {
			w.put(1, 1) // (0, 0)
		}
		w.put(1, 3) // (0, 1): an odd line is the second of its pair
		w.put(0, 1) // positive
	}
	return append(w.b, make([]byte, size-len(w.b))...)
}

// brokenFrame is a frame whose head is right and whose data are not.
func brokenFrame() []byte {
	frame := mp3Frame()
	for i := range frame[4:] {
		frame[4+i] = 0xFF
	}
	return frame
}

// bits writes numbers of any width, the highest bit first.
type bits struct {
	b    []byte
	used int // of the last byte; 0: all
}

func (w *bits) put(v, width int) {
	for i := width - 1; i >= 0; i-- {
		if w.used == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (7 - w.used)
		w.used = (w.used + 1) % 8
	}
}
