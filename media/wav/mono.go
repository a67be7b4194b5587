package wav

import "encoding/binary"

// monoHeaderLen is the RIFF header, the fmt chunk and the head of the data.
const monoHeaderLen = 44

// Mono returns sound of one channel as a whole file of 16-bit PCM, which
// every player knows.
func Mono(pcm []int16, rate int) []byte {
	const frame = 2
	size := uint32(len(pcm) * frame)
	le := binary.LittleEndian
	file := make([]byte, monoHeaderLen, monoHeaderLen+len(pcm)*frame)
	copy(file, "RIFF")
	le.PutUint32(file[4:], monoHeaderLen-8+size)
	copy(file[8:], "WAVEfmt ")
	le.PutUint32(file[16:], 16)
	le.PutUint16(file[20:], formatPCM)
	le.PutUint16(file[22:], 1)
	le.PutUint32(file[24:], uint32(rate))
	le.PutUint32(file[28:], uint32(rate*frame))
	le.PutUint16(file[32:], frame)
	le.PutUint16(file[34:], 8*frame)
	copy(file[36:], "data")
	le.PutUint32(file[40:], size)
	for _, s := range pcm {
		file = le.AppendUint16(file, uint16(s))
	}
	return file
}
