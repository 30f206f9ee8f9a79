package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Problem is an error as the API answers it: RFC 9457 with a stable code and the field that is wrong.
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Type     string    `json:"type" doc:"urn:gaea:problem:CODE" example:"urn:gaea:problem:invalid"`
	Title    string    `json:"title" doc:"the kind of problem in words"`
	Status   int       `json:"status" doc:"the HTTP status"`
	Detail   string    `json:"detail" doc:"what happened and what to do"`
	Code     gaea.Code `json:"code" enum:"invalid,not_found,conflict,unauthenticated,forbidden,empty_target,too_large,timeout,unavailable,salt,cancelled,internal" doc:"stable, for programs"`
	Field    string    `json:"field,omitempty" doc:"the input that is wrong, for example batch.size"`
	Instance string    `json:"instance,omitempty" doc:"names the request in jobd's log: urn:gaea:request:ID"`
}

// kind is how a code travels: its HTTP status and what is said of it in general.
type kind struct {
	status int
	title  string
}

var kinds = map[gaea.Code]kind{
	gaea.CodeInvalid:         {http.StatusBadRequest, "The input is wrong"},
	gaea.CodeNotFound:        {http.StatusNotFound, "There is no such thing"},
	gaea.CodeConflict:        {http.StatusConflict, "It is in the way of something else"},
	gaea.CodeUnauthenticated: {http.StatusUnauthorized, "The caller is not known"},
	gaea.CodeForbidden:       {http.StatusForbidden, "The caller may not do this"},
	gaea.CodeEmptyTarget:     {http.StatusUnprocessableEntity, "The target matches no minion"},
	gaea.CodeTooLarge:        {http.StatusRequestEntityTooLarge, "The request is too large"},
	gaea.CodeTimeout:         {http.StatusGatewayTimeout, "A time limit passed"},
	gaea.CodeUnavailable:     {http.StatusServiceUnavailable, "Something that jobd needs is down"},
	gaea.CodeSalt:            {http.StatusBadGateway, "Salt refused or failed"},
	gaea.CodeCancelled:       {http.StatusConflict, "It was stopped"},
	gaea.CodeInternal:        {http.StatusInternalServerError, "A fault of jobd's own"},
}

func newProblem(code gaea.Code, field, detail string) *Problem {
	k, ok := kinds[code]
	if !ok {
		code, k = gaea.CodeInternal, kinds[gaea.CodeInternal]
	}
	return &Problem{Type: "urn:gaea:problem:" + string(code), Title: k.title, Status: k.status, Detail: detail, Code: code, Field: field}
}

// problemOf is what a caller may read of an error.
func problemOf(err error) *Problem {
	var e *gaea.Error
	switch {
	case errors.As(err, &e):
		return newProblem(e.Code, e.Field, e.Message)
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(gaea.CodeTimeout, "", "jobd did not finish this in time; look at its log and load, and try again")
	case errors.Is(err, context.Canceled):
		return newProblem(gaea.CodeCancelled, "", "the request was given up")
	default:
		return newProblem(gaea.CodeInternal, "", "internal error; jobd's log has the cause, under the request that instance names")
	}
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// write sends the problem outside of huma.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has left needs no answer
}

var problemsInUse sync.Once

// useProblems makes huma answer with problems of this package, and take the names of fields by the letter. Both are settings
// of huma's package; this one is the only user of it in jobd.
func useProblems() {
	problemsInUse.Do(func() {
		huma.ValidateStrictCasing = true
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return humaProblem(status, msg, errs) }
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			p := humaProblem(status, msg, errs)
			in := inquiryOf(ctx.Context())
			p.Instance = in.instance()
			in.report(ctx.Context(), p, errs)
			return p
		}
	})
}

// humaProblem translates what huma has found, or what a handler has returned.
func humaProblem(status int, msg string, errs []error) *Problem {
	var details []*huma.ErrorDetail
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			details = append(details, d)
			continue
		}
		return problemOf(err)
	}
	switch {
	case len(details) > 0 && status == http.StatusUnsupportedMediaType:
		return newProblem(gaea.CodeInvalid, "", "the body's Content-Type is not application/json")
	case len(details) > 0:
		return invalid(details)
	case status == http.StatusBadRequest:
		return newProblem(gaea.CodeInvalid, "", msg)
	case status == http.StatusNotAcceptable:
		return newProblem(gaea.CodeInvalid, "", "jobd answers in application/json; ask for that, or for nothing, in Accept")
	default:
		return newProblem(gaea.CodeInternal, "", "internal error; jobd's log has the cause, under the request that instance names")
	}
}

// maxDetails bounds how many wrong fields one problem names.
const maxDetails = 5

// invalid is the problem of a request whose form is wrong. Values are not repeated: they may be secrets.
func invalid(details []*huma.ErrorDetail) *Problem {
	p := newProblem(gaea.CodeInvalid, "", "")
	var text strings.Builder
	for i, d := range details[:min(len(details), maxDetails)] {
		field, message := place(d)
		if i == 0 {
			p.Field = field
			text.WriteString(message)
			continue
		}
		text.WriteString("; also ")
		if field != "" {
			text.WriteString(field + ": ")
		}
		text.WriteString(message)
	}
	p.Detail = text.String()
	return p
}

// place is the field as users write it, and what is wrong with it.
func place(d *huma.ErrorDetail) (field, message string) {
	field = d.Location
	for _, in := range []string{"body", "query", "path", "header"} {
		if rest, ok := strings.CutPrefix(field, in); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			field = strings.TrimPrefix(rest, ".")
			break
		}
	}
	if name, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		if name, ok := strings.CutSuffix(name, " to be present"); ok {
			return strings.TrimPrefix(field+"."+name, "."), "it is missing, and it is needed"
		}
	}
	return field, wording(d)
}

// wording says what is wrong with a value. It repeats the value where the form is to blame: of a text that is one of a few,
// or written after a pattern, or a number out of range. What may be a secret stands in free values, which have no such form,
// or where another type is expected: there only the type is named.
func wording(d *huma.ErrorDetail) string {
	switch d.Message {
	case "unexpected property":
		return "there is no such field here; look at its spelling and at where it stands"
	case "unknown query parameter":
		return "there is no such query parameter here; look at its spelling"
	case validation.MsgExpectedObject, validation.MsgExpectedArray, validation.MsgExpectedString, validation.MsgExpectedBoolean,
		validation.MsgExpectedNumber, validation.MsgExpectedInteger:
		return d.Message + ", and not " + typeName(d.Value)
	}
	switch v := d.Value.(type) {
	case string:
		if strings.HasPrefix(d.Location, "header") || len(v) > maxRepeated {
			break
		}
		if form, ok := strings.CutPrefix(d.Message, "expected string to be "); ok {
			return fmt.Sprintf("%q is not %s", v, form)
		}
		if choice, ok := strings.CutPrefix(d.Message, "expected value to be one of "); ok {
			return fmt.Sprintf("%q is none of %s", v, strings.Trim(choice, `"`))
		}
	case float64:
		if bound, ok := strings.CutPrefix(d.Message, "expected number "); ok {
			return fmt.Sprintf("%v is not possible; use a number %s", v, bound)
		}
	}
	return d.Message
}

// maxRepeated bounds how long a value may be that a problem repeats.
const maxRepeated = 100

// typeName names the type of a JSON value.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
