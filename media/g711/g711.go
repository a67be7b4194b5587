// Package g711 converts between linear sound and the two companding laws of
// ITU-T G.711, and holds sounds ready to be sent in either.
//
// Every conversion is one look-up in a table that is built when the program
// starts and never written again.
package g711

import "github.com/zaf/g711"

// SampleRate is the rate of all G.711 sound, in samples per second.
const SampleRate = 8000

// Law is a companding law of G.711.
type Law uint8

// The laws: A-law is RTP's PCMA, µ-law is PCMU.
const (
	ALaw Law = iota
	ULaw
)

// String returns "A-law" or "µ-law".
func (l Law) String() string {
	if l == ULaw {
		return "µ-law"
	}
	return "A-law"
}

// Silence returns the byte that stands for no sound in this law.
func (l Law) Silence() byte {
	if l == ULaw {
		return 0xFF
	}
	return 0xD5
}

// Encode compresses one linear sample in this law.
func (l Law) Encode(s int16) byte {
	if l == ULaw {
		return EncodeU(s)
	}
	return EncodeA(s)
}

// Decode expands one byte of this law to a linear sample.
func (l Law) Decode(b byte) int16 {
	if l == ULaw {
		return DecodeU(b)
	}
	return DecodeA(b)
}

// Read-only after package initialisation. The encoders are indexed by the
// sample's bits taken as unsigned.
var (
	encodeA = encoder(g711.EncodeAlawFrame)
	encodeU = encoder(g711.EncodeUlawFrame)
	decodeA = decoder(g711.DecodeAlawFrame)
	decodeU = decoder(g711.DecodeUlawFrame)
	aToU    = transcoder(g711.Alaw2UlawFrame)
	uToA    = transcoder(g711.Ulaw2AlawFrame)
)

func encoder(frame func(int16) uint8) *[1 << 16]byte {
	var t [1 << 16]byte
	for i := range t {
		t[i] = frame(int16(uint16(i)))
	}
	return &t
}

func decoder(frame func(uint8) int16) *[256]int16 {
	var t [256]int16
	for i := range t {
		t[i] = frame(uint8(i))
	}
	return &t
}

func transcoder(frame func(uint8) uint8) *[256]byte {
	var t [256]byte
	for i := range t {
		t[i] = frame(uint8(i))
	}
	return &t
}

// EncodeA compresses one linear sample to A-law.
func EncodeA(s int16) byte { return encodeA[uint16(s)] }

// DecodeA expands one A-law byte to a linear sample.
func DecodeA(b byte) int16 { return decodeA[b] }

// EncodeU compresses one linear sample to µ-law.
func EncodeU(s int16) byte { return encodeU[uint16(s)] }

// DecodeU expands one µ-law byte to a linear sample.
func DecodeU(b byte) int16 { return decodeU[b] }

// AToU returns the table from A-law to µ-law bytes. It is shared and must not
// be written to.
func AToU() *[256]byte { return aToU }

// UToA returns the table from µ-law to A-law bytes. It is shared and must not
// be written to.
func UToA() *[256]byte { return uToA }
