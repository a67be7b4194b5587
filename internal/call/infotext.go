package call

import "perezvon/internal/store"

// inform fills in the result of an informational call that ends, as a business
// process needs it.
func inform(r *store.Call, language string) {
	if r.Kind != store.KindInfocall {
		return
	}
	info := store.Info{}
	if r.Info != nil {
		info = *r.Info
	}
	info.OK, info.Code = "N", r.Code
	if r.Result == store.ResultDelivered {
		info.OK = "Y"
	}
	info.Text = infoSentence(r.Result, r.Code, language) + " (" + r.Code + ")"
	r.Info = &info
}

// infoSentence says how an informational call ended, as Bitrix24 words its
// status codes.
func infoSentence(result store.Result, code, language string) string {
	russian, english := "Не определен", "Undefined"
	switch code {
	case codeOK:
		russian, english = "Успешно", "Success"
		if result == store.ResultHungUpEarly {
			russian, english = "Прослушано не полностью", "Heard in part"
		}
	case codeMissed:
		russian, english = "Пропущен", "Missed"
	case codeDeclined:
		russian, english = "Отклонен", "Declined"
	case codeCancelled:
		russian, english = "Вызов отменен", "Cancelled"
	case codeForbidden:
		russian, english = "Запрещено", "Forbidden"
	case codeWrong:
		russian, english = "Неверный номер", "Wrong number"
	case codeBusy:
		russian, english = "Занято", "Busy"
	case codeDirection, codeTrunk:
		russian, english = "Направление недоступно", "Direction unavailable"
	case codeUnavailable:
		russian, english = "Временно недоступен", "Temporarily unavailable"
	case codeBlocked:
		russian, english = "Номер заблокирован", "Blocked"
	case codeNoFunds:
		russian, english = "Недостаточно средств", "Out of funds"
	}
	if language == "en" {
		return english
	}
	return russian
}
