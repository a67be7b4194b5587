package sdp

import "strings"

// Names are the encodings of the first audio stream, such as PCMA, in the order
// of the peer's preference; of a dynamic payload type without a name the number.
// None is left out because it cannot be used here.
func (d *Description) Names() []string {
	for _, m := range d.media {
		if m.kind != "audio" {
			continue
		}
		names := make([]string, 0, len(m.formats))
		for _, format := range m.formats {
			name, _, _ := strings.Cut(m.rtpmap[format], "/")
			switch {
			case name == "":
				name = staticName(format)
			case name != "telephone-event":
				name = strings.ToUpper(name)
			}
			names = append(names, name)
		}
		return names
	}
	return nil
}

// staticName is the encoding of a payload type that needs no rtpmap (RFC 3551
// section 6).
func staticName(format string) string {
	switch format {
	case "0":
		return "PCMU"
	case "3":
		return "GSM"
	case "4":
		return "G723"
	case "8":
		return "PCMA"
	case "9":
		return "G722"
	case "13":
		return "CN"
	case "18":
		return "G729"
	}
	return format
}
