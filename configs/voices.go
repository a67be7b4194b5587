package configs

// defaultVoice is the voice of texts that name none, unless the file says
// otherwise.
const defaultVoice = "ruinternalfemale"

// defaultVoices are the names that Bitrix24 has for voices, so that its
// requests need no change, spoken by espeak-ng, and an English pair beside the
// Russian one.
func defaultVoices(engine string) map[string]Voice {
	voices := make(map[string]Voice)
	pair := func(id, voice, language, female, male string) {
		if female != "" {
			voices[id+"female"] = Voice{Engine: engine, Voice: voice + "+f3", Language: language, Name: female}
		}
		if male != "" {
			voices[id+"male"] = Voice{Engine: engine, Voice: voice + "+m3", Language: language, Name: male}
		}
	}
	pair("ruinternal", "ru", "ru", "Русский (женский)", "Русский (мужской)")
	pair("eninternal", "en-us", "en", "English (female)", "English (male)")
	pair("internal", "ru", "ru", "Голос по умолчанию (женский)", "Голос по умолчанию (мужской)")
	pair("usinternal", "en-us", "en", "English, US (female)", "English, US (male)")
	pair("usenglish", "en-us", "en", "English, US (female)", "English, US (male)")
	pair("ukenglish", "en-gb", "en", "English, UK (female)", "English, UK (male)")
	pair("auenglish", "en-gb", "en", "English, Australia (female)", "")
	pair("caenglish", "en-us", "en", "English, Canada (female)", "")
	pair("cafrench", "fr-fr", "fr", "Français, Canada (femme)", "Français, Canada (homme)")
	pair("brportuguese", "pt-br", "pt", "Português, Brasil (feminina)", "")
	pair("chchinese", "cmn", "zh", "中文 (女声)", "中文 (男声)")
	pair("hkchinese", "yue", "yue", "廣東話 (女聲)", "")
	pair("twchinese", "cmn", "zh", "中文, 台灣 (女聲)", "")
	pair("eurcatalan", "ca", "ca", "Català (femenina)", "")
	pair("eurczech", "cs", "cs", "Čeština (ženský)", "")
	pair("eurdanish", "da", "da", "Dansk (kvinde)", "")
	pair("eurdutch", "nl", "nl", "Nederlands (vrouw)", "")
	pair("eurfinnish", "fi", "fi", "Suomi (nainen)", "")
	pair("eurfrench", "fr-fr", "fr", "Français (femme)", "Français (homme)")
	pair("eurgerman", "de", "de", "Deutsch (weiblich)", "Deutsch (männlich)")
	pair("euritalian", "it", "it", "Italiano (femminile)", "Italiano (maschile)")
	pair("eurnorwegian", "nb", "nb", "Norsk (kvinne)", "")
	pair("eurpolish", "pl", "pl", "Polski (żeński)", "")
	pair("eurportuguese", "pt", "pt", "Português (feminina)", "Português (masculina)")
	pair("eurspanish", "es", "es", "Español (femenina)", "Español (masculina)")
	pair("eurturkish", "tr", "tr", "Türkçe (kadın)", "Türkçe (erkek)")
	pair("huhungarian", "hu", "hu", "Magyar (női)", "")
	pair("jpjapanese", "ja", "ja", "日本語 (女性)", "日本語 (男性)")
	pair("krkorean", "ko", "ko", "한국어 (여성)", "한국어 (남성)")
	pair("swswedish", "sv", "sv", "Svenska (kvinna)", "")
	pair("usspanish", "es-419", "es", "Español, EE. UU. (femenina)", "Español, EE. UU. (masculina)")
	return voices
}
