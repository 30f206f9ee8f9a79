package gaea

import (
	"errors"
	"fmt"
)

// Code names a kind of failure. It is stable: it is part of the HTTP API and of what scripts may match on.
type Code string

// The codes that an [Error] can carry.
const (
	CodeInvalid         Code = "invalid"         // the input is wrong; Field says where
	CodeNotFound        Code = "not_found"       // no such thing
	CodeConflict        Code = "conflict"        // it exists and is somebody else's, or it changed meanwhile
	CodeUnauthenticated Code = "unauthenticated" // no token, or one that is not known
	CodeForbidden       Code = "forbidden"       // a known caller who may not do this
	CodeEmptyTarget     Code = "empty_target"    // a target that matches no minion
	CodeTooLarge        Code = "too_large"       // over a bound that the message states
	CodeTimeout         Code = "timeout"         // a limit passed; the message says which
	CodeUnavailable     Code = "unavailable"     // something Gaea needs is down: the master, the database, jobd
	CodeSalt            Code = "salt"            // Salt refused or failed; the message quotes it
	CodeCancelled       Code = "cancelled"       // somebody stopped it
	CodeInternal        Code = "internal"        // a fault of Gaea's own
)

// Error is a failure with two readers: Message tells the user what happened and what to do, Err is the cause for the log.
type Error struct {
	Code    Code   // what kind of failure
	Message string // one or two sentences for the user, without secrets
	Field   string // the input that is wrong, as the user wrote it, for example "batch.size"; or empty
	Err     error  // the cause, for the log; not shown to API callers; may be nil
}

// Error returns the message with the field before it and the cause after it.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] of a code and a message for the user. A %w verb is not understood: use [Wrap] to keep a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an [Error] that says what is wrong with one field of the input.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an [Error] of a code, a message for the user and the cause for the log.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf returns the code of the first [Error] in err's chain, CodeInternal for any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// MessageOf returns what a user may read of err: the message of the first [Error] in its chain, with its field, and a plain
// sentence for any other error, whose text may hold what users should not see.
func MessageOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Field != "" {
			return e.Field + ": " + e.Message
		}
		return e.Message
	}
	return "internal error; jobd's log has the cause"
}
